//! QR codes, drawn as one path: dark on light in either theme, since not every camera reads the inverse.

use std::fmt::Write as _;

use leptos::prelude::*;
use qrcode::{Color, QrCode};

/// Empty squares around it, by the standard.
const QUIET: usize = 4;

/// The dark squares as a path, and how many squares a side has; nothing for a text that is too long.
fn squares(text: &str) -> Option<(String, usize)> {
    let code = QrCode::new(text).ok()?;
    let mut path = String::new();
    for (at, colour) in code.to_colors().into_iter().enumerate() {
        if colour == Color::Dark {
            let _ = write!(path, "M{} {}h1v1h-1z", at % code.width() + QUIET, at / code.width() + QUIET);
        }
    }
    Some((path, code.width() + 2 * QUIET))
}

/// A QR code that says `text`; `label` is what it is for those who do not see it.
#[must_use]
pub fn qr(text: &str, label: &'static str) -> Option<impl IntoView + use<>> {
    let (path, side) = squares(text)?;
    Some(view! {
        <svg class="qr" role="img" aria-label=label viewBox=format!("0 0 {side} {side}") shape-rendering="crispEdges">
            <rect width=side height=side fill="#fff"></rect>
            <path d=path fill="#000"></path>
        </svg>
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_code_has_its_three_corners() {
        let (path, side) = squares("otpauth://totp/Berth:ann?secret=GEZDGNBVGY3TQOJQ&issuer=Berth").unwrap();
        let dark = |x: usize, y: usize| path.contains(&format!("M{x} {y}h1v1h-1z"));
        let far = side - QUIET - 7;
        for (x, y) in [(QUIET, QUIET), (far, QUIET), (QUIET, far)] {
            // A frame of seven, a ring of light, a heart of three.
            assert!((0..7).all(|n| dark(x + n, y) && dark(x, y + n)), "{x} {y}");
            assert!((1..6).all(|n| !dark(x + n, y + 1)), "{x} {y}");
            assert!((2..5).all(|n| dark(x + n, y + 3)), "{x} {y}");
        }
        assert!((0..side).all(|n| !dark(n, QUIET - 1) && !dark(n, side - QUIET)), "nothing around it");
        assert_eq!(squares(&"x".repeat(5000)), None);
    }
}
