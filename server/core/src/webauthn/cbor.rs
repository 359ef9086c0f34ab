//! As much of CBOR (RFC 8949) as authenticators use: whole numbers, bytes, texts, lists and maps of known length. All else is refused.

/// Deepest nesting: an attestation statement's certificates are at three.
const DEEPEST: u8 = 8;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// True, false or null: nothing here reads them.
    Simple(u8),
}

impl<'a> Value<'a> {
    /// The value of a map's key, which stands there once.
    fn find(&self, fits: impl Fn(&Self) -> bool) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        let mut found = pairs.iter().filter(|(key, _)| fits(key));
        let value = &found.next()?.1;
        found.next().is_none().then_some(value)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Self> {
        self.find(|key| *key == Value::Text(name))
    }

    pub(super) fn numbered(&self, number: i64) -> Option<&Self> {
        self.find(|key| *key == Value::Int(number))
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
}

/// Takes so many bytes from the front.
pub(super) fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}

/// The number that follows a head's first byte.
fn argument(input: &mut &[u8], short: u8) -> Option<u64> {
    let bytes = match short {
        0..=23 => return Some(short.into()),
        24..=27 => take(input, 1 << (short - 24))?,
        _ => return None,
    };
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Reads the value at the front.
pub(super) fn read<'a>(input: &mut &'a [u8]) -> Option<Value<'a>> {
    read_at(input, 0)
}

fn read_at<'a>(input: &mut &'a [u8], depth: u8) -> Option<Value<'a>> {
    let head = take(input, 1)?.first().copied()?;
    let (major, short) = (head >> 5, head & 0x1f);
    if major == 7 {
        return (20..=22).contains(&short).then_some(Value::Simple(short));
    }
    let number = argument(input, short)?;
    // No more of them than bytes that are left: nobody makes room for a billion by writing a number.
    let length = || usize::try_from(number).ok();
    let items = || length().filter(|count| depth < DEEPEST && *count <= input.len());
    Some(match major {
        0 => Value::Int(i64::try_from(number).ok()?),
        1 => Value::Int(-1 - i64::try_from(number).ok()?),
        2 => Value::Bytes(take(input, length()?)?),
        3 => Value::Text(std::str::from_utf8(take(input, length()?)?).ok()?),
        4 => {
            let count = items()?;
            Value::List((0..count).map(|_| read_at(input, depth + 1)).collect::<Option<_>>()?)
        }
        5 => {
            let count = items()?;
            let pair = |_| Some((read_at(input, depth + 1)?, read_at(input, depth + 1)?));
            Value::Map((0..count).map(pair).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use data_encoding::HEXLOWER;

    use super::*;

    fn of(hex: &str) -> Option<String> {
        let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
        let mut rest = bytes.as_slice();
        let value = read(&mut rest)?;
        Some(format!("{value:?} {}", rest.len()))
    }

    /// Those of RFC 8949, appendix A, that authenticators use; and what is refused.
    #[test]
    fn values() {
        for (hex, want) in [
            ("00", "Int(0) 0"),
            ("1818", "Int(24) 0"),
            ("1903e8", "Int(1000) 0"),
            ("1a000f4240", "Int(1000000) 0"),
            ("1b000000e8d4a51000", "Int(1000000000000) 0"),
            ("20", "Int(-1) 0"),
            ("3903e7", "Int(-1000) 0"),
            ("4401020304", "Bytes([1, 2, 3, 4]) 0"),
            ("6449455446", "Text(\"IETF\") 0"),
            ("83010203ff", "List([Int(1), Int(2), Int(3)]) 1"),
            ("a201020304", "Map([(Int(1), Int(2)), (Int(3), Int(4))]) 0"),
            ("f5", "Simple(21) 0"),
        ] {
            assert_eq!(of(hex).as_deref(), Some(want), "{hex}");
        }
        let deep = "81".repeat(9) + "00";
        // Cut off, more than there is, of unknown length, a tag, a float, too deep, no text, beyond 63 bits.
        for hex in [
            "",
            "18",
            "43aabb",
            "9affffffff",
            "bb00000000ffffffff",
            "5f",
            "9f01ff",
            "c001",
            "fb00",
            &deep,
            "61ff",
            "1bffffffffffffffff",
        ] {
            assert_eq!(of(hex), None, "{hex}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_none() {
        let mut bytes: &[u8] = &[0xa3, 1, 2, 1, 3, 4, 5];
        let map = read(&mut bytes).unwrap();
        assert_eq!((map.numbered(1), map.numbered(4)), (None, Some(&Value::Int(5))));
    }
}
