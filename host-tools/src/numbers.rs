//! Numbers of the command line, refused with what would be right.

/// A whole number.
///
/// # Errors
/// What would be right.
pub fn whole<T: TryFrom<u64>>(argument: &str) -> Result<T, String> {
    let number = argument.parse::<u64>().ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| "a whole number, not too large, would be right".into())
}

/// A number of bytes, in units of 1,024 with K and of 1,048,576 with M.
///
/// # Errors
/// What would be right.
pub fn bytes(argument: &str) -> Result<u64, String> {
    let (digits, unit) = match argument.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 1 << 10),
        None => argument.strip_suffix(['M', 'm']).map_or((argument, 1), |digits| (digits, 1 << 20)),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "a number of bytes, such as 2000000, 512K or 2M, would be right".into())
}

/// A whole number from 1 to `MOST`.
///
/// # Errors
/// What would be right.
pub fn one_to<const MOST: u32, T: TryFrom<u32>>(argument: &str) -> Result<T, String> {
    let number = argument.parse().ok().filter(|number| (1..=MOST).contains(number));
    number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| format!("1 to {MOST} would be right"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_what_would_be() {
        assert_eq!(whole::<u32>("4294967295"), Ok(u32::MAX));
        for wrong in ["", "abc", "-1", "1.5", "4294967296"] {
            assert_eq!(whole::<u32>(wrong), Err("a whole number, not too large, would be right".into()), "{wrong}");
        }
        for (right, count) in [("2000000", 2_000_000), ("512K", 512 << 10), ("2M", 2 << 20), ("3m", 3 << 20), ("0", 0)]
        {
            assert_eq!(bytes(right), Ok(count), "{right}");
        }
        for wrong in ["", "M", "2G", "2 M", "-1K", "1.5M", "18446744073709551615K"] {
            assert!(bytes(wrong).is_err_and(|says| says.contains("2M")), "{wrong}");
        }
        assert_eq!(one_to::<8, u8>("8"), Ok(8));
        for wrong in ["0", "9", "x"] {
            assert_eq!(one_to::<8, u8>(wrong), Err("1 to 8 would be right".into()), "{wrong}");
        }
    }
}
