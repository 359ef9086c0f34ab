//! Kubernetes quantities: `500m`, `1Gi`, `1.5`, `12e6`.
//!
//! Grammar: `k8s.io/apimachinery/pkg/api/resource`. Values are held in thousandths (`m`), which is the finest unit that
//! Kubernetes keeps for CPU; finer suffixes (`u`, `n`) round up, as there.

use std::{fmt, str::FromStr};

/// An amount of CPU (cores), memory (bytes) or a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity {
    milli: i128,
}

/// Why a quantity was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Nothing was given.
    #[error("a quantity is needed, such as 500m or 1Gi")]
    Empty,
    /// Not a number.
    #[error("“{0}” is not a quantity: write a number and a unit, such as 500m, 2 or 1Gi")]
    Number(String),
    /// A suffix that does not exist, with likely ones.
    #[error("“{unit}” is no unit")]
    Unit {
        /// What was written.
        unit: String,
        /// Whole quantities that are likely meant.
        suggestions: Vec<String>,
    },
    /// Too large to count.
    #[error("the quantity is too large")]
    Range,
}

impl QuantityError {
    /// The translation key.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "quantity_empty",
            Self::Number(_) => "quantity_number",
            Self::Unit { .. } => "quantity_unit",
            Self::Range => "quantity_range",
        }
    }
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { milli: 0 };

    /// `n` whole units.
    #[must_use]
    pub fn units(n: i64) -> Self {
        Self { milli: i128::from(n) * 1000 }
    }

    /// `n` thousandths.
    #[must_use]
    pub fn millis(n: i64) -> Self {
        Self { milli: i128::from(n) }
    }

    /// In thousandths, saturating.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.milli).unwrap_or(if self.milli < 0 { i64::MIN } else { i64::MAX })
    }

    /// In whole units, rounded up, saturating.
    #[must_use]
    pub fn as_units(self) -> i64 {
        let up = self.milli.div_euclid(1000) + i128::from(self.milli.rem_euclid(1000) != 0);
        i64::try_from(up).unwrap_or(if up < 0 { i64::MIN } else { i64::MAX })
    }

    /// As a float, for charts.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a chart needs no more than 52 bits")]
    pub fn as_f64(self) -> f64 {
        self.milli as f64 / 1000.0
    }

    /// Without thousandths.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.milli % 1000 == 0
    }

    /// Below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.milli < 0
    }

    /// The sum, saturating.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { milli: self.milli.saturating_add(other.milli) }
    }

    /// The difference, saturating.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { milli: self.milli.saturating_sub(other.milli) }
    }

    /// The exact sum; `None` when it is too large to count.
    #[must_use]
    pub fn checked_plus(self, other: Self) -> Option<Self> {
        Some(Self { milli: self.milli.checked_add(other.milli)? })
    }

    /// How much of `whole` this is, in thousandths, rounded down; `None` of nothing.
    #[must_use]
    pub fn thousandths_of(self, whole: Self) -> Option<i64> {
        let part = self.milli.checked_mul(1000)?.checked_div(whole.milli)?;
        Some(i64::try_from(part).unwrap_or(if part < 0 { i64::MIN } else { i64::MAX }))
    }

    /// `n` times, saturating.
    #[must_use]
    pub fn times(self, n: i64) -> Self {
        Self { milli: self.milli.saturating_mul(i128::from(n)) }
    }

    /// As cores: `0.5`, `2`, `12.25`.
    #[must_use]
    pub fn cores(self) -> String {
        let text = format!("{:.3}", self.as_f64());
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// As bytes in the largest binary unit of Kubernetes that divides it, so that it says exactly the same: `512Mi`, `1536Ki`.
    #[must_use]
    pub fn binary(self) -> String {
        let bytes = self.milli / 1000;
        let fit = [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")]
            .into_iter()
            .find(|(bits, _)| self.is_whole() && bytes != 0 && bytes % (1_i128 << bits) == 0);
        fit.map_or_else(|| self.to_string(), |(bits, unit)| format!("{}{unit}", bytes >> bits))
    }

    /// As bytes in the largest binary unit that keeps it readable: `512 MiB`, `1.5 GiB`.
    #[must_use]
    pub fn bytes(self) -> String {
        let mut value = self.as_f64();
        let mut unit = "B";
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
            if value.abs() < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        let text = if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text} {unit}")
    }
}

/// Suffix → (factor in thousandths, divisor).
fn factor(unit: &str) -> Option<(i128, i128)> {
    Some(match unit {
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "" => (1000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1000 << 10, 1),
        "Mi" => (1000 << 20, 1),
        "Gi" => (1000 << 30, 1),
        "Ti" => (1000 << 40, 1),
        "Pi" => (1000 << 50, 1),
        "Ei" => (1000 << 60, 1),
        _ => return None,
    })
}

/// What someone who wrote `unit` likely meant.
fn likely(number: &str, unit: &str) -> Vec<String> {
    let units: &[&str] = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => &["Ki", "k"],
        "mb" | "mib" => &["Mi", "M"],
        "g" | "gb" | "gib" | "gi" => &["Gi", "G"],
        "t" | "tb" | "tib" | "ti" => &["Ti", "T"],
        "mi" => &["Mi"],
        "ki" => &["Ki"],
        "b" | "bytes" | "core" | "cores" | "c" | "cpu" => &[""],
        _ => &[],
    };
    units.iter().map(|u| format!("{number}{u}")).collect()
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Empty);
        }
        let bad = || QuantityError::Number(text.to_owned());
        let digits_end = text
            .char_indices()
            .find(|(i, c)| !(c.is_ascii_digit() || *c == '.' || (*i == 0 && matches!(c, '+' | '-'))))
            .map_or(text.len(), |(i, _)| i);
        let (number, unit) = text.split_at(digits_end);
        let (sign, digits) = match number.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(bad());
        }
        // A decimal exponent (`12e6`) stands where a unit would.
        let (numerator, divisor) = match unit.strip_prefix(['e', 'E']).filter(|rest| !rest.is_empty()) {
            Some(exponent) if exponent != "i" => {
                let exponent: i32 = exponent.parse().map_err(|_| bad())?;
                if !(-9..=18).contains(&exponent) {
                    return Err(QuantityError::Range);
                }
                let power = 10_i128.pow(exponent.unsigned_abs());
                if exponent < 0 { (1000, power) } else { (1000 * power, 1) }
            }
            _ => factor(unit)
                .ok_or_else(|| QuantityError::Unit { unit: unit.to_owned(), suggestions: likely(number, unit) })?,
        };
        if whole.len() + fraction.len() > 18 {
            return Err(QuantityError::Range);
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().map_err(|_| bad())?;
        let scale = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| bad())?);
        let product = mantissa.checked_mul(numerator).ok_or(QuantityError::Range)?;
        let divisor = divisor * scale;
        let milli = product.div_euclid(divisor) + i128::from(product.rem_euclid(divisor) != 0);
        Ok(Self { milli: sign * milli })
    }
}

impl fmt::Display for Quantity {
    /// Canonical decimal form: whole units, else thousandths.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli % 1000 == 0 { write!(f, "{}", self.milli / 1000) } else { write!(f, "{}m", self.milli) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads() {
        for (text, milli) in [
            ("0", 0),
            ("1", 1000),
            ("500m", 500),
            ("1.5", 1500),
            (".5", 500),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("12e6", 12_000_000_000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("100u", 1),
            ("-2", -2000),
            ("0.0001", 1),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().milli, milli, "{text}");
        }
    }

    #[test]
    fn refuses_with_a_way_out() {
        assert_eq!(
            "1Gb".parse::<Quantity>(),
            Err(QuantityError::Unit { unit: "Gb".into(), suggestions: vec!["1Gi".into(), "1G".into()] })
        );
        assert_eq!("".parse::<Quantity>(), Err(QuantityError::Empty));
        assert!(matches!("abc".parse::<Quantity>(), Err(QuantityError::Number(_))));
        assert!(matches!("1.2.3".parse::<Quantity>(), Err(QuantityError::Number(_))));
        assert_eq!("1e99".parse::<Quantity>(), Err(QuantityError::Range));
        assert_eq!("9999999999999999999".parse::<Quantity>(), Err(QuantityError::Range));
    }

    #[test]
    fn prints() {
        assert_eq!("1.5Gi".parse::<Quantity>().unwrap().bytes(), "1.5 GiB");
        assert_eq!("129M".parse::<Quantity>().unwrap().bytes(), "123 MiB");
        assert_eq!("2500m".parse::<Quantity>().unwrap().cores(), "2.5");
        assert_eq!(Quantity::millis(1500).to_string(), "1500m");
        assert_eq!(Quantity::millis(1500).as_units(), 2);
    }
}
