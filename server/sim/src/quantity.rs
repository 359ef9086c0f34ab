//! `resource.Quantity`: exact fixed-point numbers with Kubernetes' suffixes
//! (`k8s.io/apimachinery/pkg/api/resource/quantity.go`).

use std::{
    cmp::Ordering,
    fmt,
    ops::{Add, AddAssign, Neg, Sub, SubAssign},
    str::FromStr,
};

const NANO: i128 = 1_000_000_000;
/// Binary quantities are capped at 2^63-1, as the real parser caps them.
const MAX_BINARY: i128 = (i64::MAX as i128) * NANO;

/// Why a text is no quantity; the words are the API server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuantityError {
    /// Not `<number><suffix>`.
    Format,
    /// The number is out of range.
    Numeric,
    /// An unknown suffix.
    Suffix,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => {
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            Self::Numeric => "unable to parse numeric part of quantity",
            Self::Suffix => "unable to parse quantity's suffix",
        })
    }
}

impl std::error::Error for QuantityError {}

/// How a quantity was written, hence how it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`, `100m`
    #[default]
    DecimalSi,
}

/// An exact amount, in billionths, that remembers how it was written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Nothing of anything.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// A whole number, printed with decimal suffixes.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self { nanos: units as i128 * NANO, format: Format::DecimalSi }
    }

    /// Thousandths (CPU millicores).
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self { nanos: millis as i128 * (NANO / 1000), format: Format::DecimalSi }
    }

    /// Bytes, printed with binary suffixes.
    #[must_use]
    pub const fn from_bytes(bytes: i64) -> Self {
        Self { nanos: bytes as i128 * NANO, format: Format::BinarySi }
    }

    /// Billionths (what metrics-server reports for CPU).
    #[must_use]
    pub const fn from_nanos(nanos: i128) -> Self {
        Self { nanos, format: Format::DecimalSi }
    }

    /// Reads `100m`, `1.5Gi`, `2e3`, ….
    ///
    /// # Errors
    /// See [`QuantityError`].
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        parse(text)
    }

    /// A JSON value that holds a quantity: a string or a number.
    ///
    /// # Errors
    /// [`QuantityError::Format`] for other JSON types, else what [`Self::parse`] says.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, QuantityError> {
        match value {
            serde_json::Value::String(text) => parse(text),
            serde_json::Value::Number(number) => parse(&number.to_string()),
            _ => Err(QuantityError::Format),
        }
    }

    /// The quantity in a JSON value, zero if there is none or it is malformed
    /// (validation refuses malformed ones before controllers see them).
    #[must_use]
    pub fn lenient(value: Option<&serde_json::Value>) -> Self {
        value.and_then(|value| Self::from_json(value).ok()).unwrap_or_default()
    }

    /// Whole units, rounded away from zero (`Quantity.Value`).
    #[must_use]
    pub fn value(self) -> i64 {
        scaled(self.nanos, NANO)
    }

    /// Thousandths, rounded away from zero (`Quantity.MilliValue`).
    #[must_use]
    pub fn milli_value(self) -> i64 {
        scaled(self.nanos, NANO / 1000)
    }

    /// Billionths.
    #[must_use]
    pub const fn nanos(self) -> i128 {
        self.nanos
    }

    /// Whether this is 0.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// -1, 0 or 1.
    #[must_use]
    pub const fn sign(self) -> i8 {
        self.nanos.signum() as i8
    }

    /// How it prints.
    #[must_use]
    pub const fn format(self) -> Format {
        self.format
    }

    /// The same amount printed in another way.
    #[must_use]
    pub const fn with_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// The JSON string of its canonical form.
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        serde_json::Value::String(self.to_string())
    }
}

fn scaled(nanos: i128, unit: i128) -> i64 {
    let mut whole = nanos / unit;
    if nanos % unit != 0 {
        whole += nanos.signum();
    }
    i64::try_from(whole).unwrap_or(if whole > 0 { i64::MAX } else { i64::MIN })
}

fn parse(text: &str) -> Result<Quantity, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let (negative, rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let rest = rest.trim_start_matches('0');
    if rest.is_empty() {
        // Signs and zeros alone are zero, as in the original.
        return Ok(Quantity::ZERO);
    }
    let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (whole, rest) = rest.split_at(digits_end);
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(after) => after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len())),
        None => ("", rest),
    };
    // The suffix: letters of the set, then an optional sign and digits, then the end.
    let letters_end = suffix.find(|c: char| !"eEinumkKMGTP".contains(c)).unwrap_or(suffix.len());
    let tail = suffix[letters_end..].trim_start_matches(['-', '+']);
    let signs = suffix.len() - letters_end - tail.len();
    if signs > 1 || !tail.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::Format);
    }
    let (base, exponent, format) = interpret(suffix).ok_or(QuantityError::Suffix)?;
    if whole.is_empty()
        && fraction.is_empty()
        && rest.starts_with('.')
        && text.trim_start_matches(['-', '+']).starts_with('.')
    {
        return Err(QuantityError::Numeric);
    }

    let mut mantissa: i128 = 0;
    let mut scale = 9i32; // mantissa is in 10^-9 after multiplying by 10^scale
    let mut rounded = false;
    for (index, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        if index >= whole.len() {
            if index - whole.len() >= 18 {
                rounded |= digit != b'0';
                continue;
            }
            scale -= 1;
        }
        mantissa = mantissa
            .checked_mul(10)
            .and_then(|m| m.checked_add(i128::from(digit - b'0')))
            .ok_or(QuantityError::Numeric)?;
    }
    if base == 2 {
        mantissa = match mantissa.checked_mul(1i128 << exponent) {
            Some(product) => product,
            None => return Ok(capped(negative)),
        };
    } else {
        scale += exponent;
    }
    let mut nanos = if scale >= 0 {
        u32::try_from(scale)
            .ok()
            .and_then(|scale| 10i128.checked_pow(scale))
            .and_then(|factor| mantissa.checked_mul(factor))
            .ok_or(QuantityError::Numeric)
            .or_else(|error| if base == 2 { Ok(MAX_BINARY) } else { Err(error) })?
    } else {
        let divisor = u32::try_from(-scale).ok().and_then(|scale| 10i128.checked_pow(scale));
        match divisor {
            Some(divisor) => {
                rounded |= mantissa % divisor != 0;
                mantissa / divisor
            }
            None => {
                rounded |= mantissa != 0;
                0
            }
        }
    };
    if rounded {
        nanos += 1; // away from zero: whoever asks for something gets something
    }
    let mut format = format;
    if format == Format::BinarySi {
        nanos = nanos.min(MAX_BINARY);
        if nanos > 0 && nanos < NANO {
            format = Format::DecimalSi;
        }
    }
    Ok(Quantity { nanos: if negative { -nanos } else { nanos }, format })
}

const fn capped(negative: bool) -> Quantity {
    Quantity { nanos: if negative { -MAX_BINARY } else { MAX_BINARY }, format: Format::BinarySi }
}

/// Base, exponent and format of a suffix.
fn interpret(suffix: &str) -> Option<(u8, i32, Format)> {
    Some(match suffix {
        "" => (10, 0, Format::DecimalSi),
        "n" => (10, -9, Format::DecimalSi),
        "u" => (10, -6, Format::DecimalSi),
        "m" => (10, -3, Format::DecimalSi),
        "k" => (10, 3, Format::DecimalSi),
        "M" => (10, 6, Format::DecimalSi),
        "G" => (10, 9, Format::DecimalSi),
        "T" => (10, 12, Format::DecimalSi),
        "P" => (10, 15, Format::DecimalSi),
        "E" => (10, 18, Format::DecimalSi),
        "Ki" => (2, 10, Format::BinarySi),
        "Mi" => (2, 20, Format::BinarySi),
        "Gi" => (2, 30, Format::BinarySi),
        "Ti" => (2, 40, Format::BinarySi),
        "Pi" => (2, 50, Format::BinarySi),
        "Ei" => (2, 60, Format::BinarySi),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = digits.parse().ok()?;
            (10, exponent, Format::DecimalExponent)
        }
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let mut format = self.format;
        if format == Format::BinarySi && (self.nanos.abs() < 1024 * NANO || self.nanos % NANO != 0) {
            format = Format::DecimalSi;
        }
        if format == Format::BinarySi {
            let mut number = self.nanos / NANO;
            let mut step = 0;
            while number % 1024 == 0 && step < 6 {
                number /= 1024;
                step += 1;
            }
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][step]);
        }
        let mut number = self.nanos;
        let mut step = 0;
        let steps = if format == Format::DecimalSi { 9 } else { usize::MAX };
        while number % 1000 == 0 && step < steps {
            number /= 1000;
            step += 1;
        }
        if format == Format::DecimalSi {
            write!(f, "{number}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][step])
        } else {
            let exponent = i64::try_from(step).unwrap_or(0) * 3 - 9;
            if exponent == 0 { write!(f, "{number}") } else { write!(f, "{number}e{exponent}") }
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        // A zero takes the other's way of printing, as `Quantity.Add` does.
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }
}
impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self { nanos: -self.nanos, ..self }
    }
}
impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}
impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn canonical_form() {
        for (input, output) in [
            ("0", "0"),
            ("000", "0"),
            ("-0", "0"),
            ("0Mi", "0"),
            ("0.0", "0"),
            ("1", "1"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1.25", "1250m"),
            ("100", "100"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("1500", "1500"),
            ("1Ki", "1Ki"),
            ("1024Ki", "1Mi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("0.5Ki", "512"),
            ("1023Mi", "1023Mi"),
            ("2048Mi", "2Gi"),
            ("0.25Ki", "256"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("1E3", "1e3"),
            ("1e-3", "1e-3"),
            ("100e2", "10e3"),
            ("1E", "1E"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("129M", "129M"),
            ("123Mi", "123Mi"),
            ("-1Gi", "-1Gi"),
            ("+5", "5"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("1.0000000001", "1000000001n"),
            ("100000000000000000000Ei", "9223372036854775807"),
            ("1u", "1u"),
            ("8Gi", "8Gi"),
            ("250m", "250m"),
            ("0.1Ki", "102400m"),
            ("1M", "1M"),
            ("1000k", "1M"),
        ] {
            assert_eq!(Quantity::parse(input).map(|q| q.to_string()), Ok(output.to_owned()), "{input}");
        }
    }

    #[test]
    fn refused() {
        for (input, error) in [
            ("", QuantityError::Format),
            ("1.1.1", QuantityError::Format),
            ("1 Mi", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1mi", QuantityError::Suffix),
            ("1KiB", QuantityError::Format),
            ("1MM", QuantityError::Suffix),
            ("1K", QuantityError::Suffix),
            ("0x1", QuantityError::Format),
            ("1e", QuantityError::Suffix),
            ("1Gi2", QuantityError::Suffix),
            (".", QuantityError::Numeric),
            ("1e--3", QuantityError::Format),
        ] {
            assert_eq!(Quantity::parse(input), Err(error), "{input}");
        }
    }

    #[test]
    fn arithmetic_is_exact_and_keeps_the_format() {
        let q = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!((q("100m") + q("200m") + q("0.7")).to_string(), "1");
        assert_eq!((q("0") + q("1Gi")).to_string(), "1Gi");
        assert_eq!((q("1Gi") + q("512Mi")).to_string(), "1536Mi");
        assert_eq!((q("8") - q("7500m")).to_string(), "500m");
        assert_eq!((q("1Gi") - q("1Gi")).to_string(), "0");
        assert!(q("1000Mi") < q("1Gi") && q("1G") < q("1Gi") && q("1000m") == q("1"));
        assert_eq!((q("100m").value(), q("1001m").value(), q("-1001m").value()), (1, 2, -2));
        assert_eq!((q("1n").milli_value(), q("2").milli_value()), (1, 2000));
        assert_eq!([q("1"), q("2Gi")].into_iter().sum::<Quantity>().value(), 2_147_483_649);
    }
}
