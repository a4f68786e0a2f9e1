//! What bytes cost: `0.09 USD/GB`.

use super::Text;

/// Money for bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// For 1000³ bytes; finite, and not negative.
    pub per_gigabyte: f64,
    /// Three capital letters.
    currency: [u8; 3],
}

impl Price {
    /// The currency's three letters.
    pub fn currency(&self) -> &str {
        std::str::from_utf8(&self.currency).unwrap_or("")
    }
}

impl Text for Price {
    const EXPECTED: &'static str = r#"a price such as "0.09 USD/GB" or "12 JPY/GB""#;
    const NAME: &'static str = "Price";
    const PATTERN: &'static str = r"^\s*[0-9]+(\.[0-9]+)?\s*[A-Za-z]{3}\s*/\s*[GgTt][Bb]\s*$";

    fn read(text: &str) -> Option<Self> {
        let (price, unit) = text.split_once('/')?;
        let price = price.trim();
        let digits = price.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, currency) = price.split_at(digits);
        let amount: f64 = amount.parse().ok()?;
        let gigabytes = match unit.trim().to_ascii_uppercase().as_str() {
            "GB" => 1.0,
            "TB" => 1000.0,
            _ => return None,
        };
        let currency = currency.trim().to_ascii_uppercase();
        if !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            return None;
        }
        let per_gigabyte = amount / gigabytes;
        per_gigabyte.is_finite().then_some(Self {
            per_gigabyte,
            currency: currency.into_bytes().try_into().ok()?,
        })
    }
}

super::from_text!(Price);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_has_an_amount_a_currency_and_a_size() {
        let price = Price::read("0.09 USD/GB").unwrap();
        assert!((price.per_gigabyte - 0.09).abs() < 1e-12);
        assert_eq!(price.currency(), "USD");
        let price = Price::read("1500jpy / TB").unwrap();
        assert!((price.per_gigabyte - 1.5).abs() < 1e-12);
        assert_eq!(price.currency(), "JPY");
    }

    #[test]
    fn what_is_not_a_price_is_refused() {
        for text in [
            "",
            "0.09",
            "0.09/GB",
            "USD/GB",
            "-1 USD/GB",
            "1 USD/MB",
            "1 US/GB",
            "1.2.3 USD/GB",
            "1 ＵＳＤ/GB",
        ] {
            assert_eq!(Price::read(text), None, "{text}");
        }
    }
}
