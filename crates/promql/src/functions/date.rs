//! Parts of a date in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatePart {
    Minute,
    Hour,
    DayOfWeek,
    DayOfMonth,
    DayOfYear,
    DaysInMonth,
    Month,
    Year,
}

impl DatePart {
    /// The part that a function of that name gives.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "minute" => DatePart::Minute,
            "hour" => DatePart::Hour,
            "day_of_week" => DatePart::DayOfWeek,
            "day_of_month" => DatePart::DayOfMonth,
            "day_of_year" => DatePart::DayOfYear,
            "days_in_month" => DatePart::DaysInMonth,
            "month" => DatePart::Month,
            "year" => DatePart::Year,
            _ => return None,
        })
    }

    /// The part at a time in seconds, fractions cut off.
    pub(crate) fn of_seconds(self, seconds: f64) -> f64 {
        self.of(whole_seconds(seconds))
    }

    /// The part at a time in whole seconds.
    pub(crate) fn of(self, seconds: i64) -> f64 {
        // Calendars repeat every 400 years; times beyond what the library knows are brought near.
        const CYCLE_SECONDS: i128 = 146_097 * 86_400;
        let seconds = wrapped(seconds);
        let (cycles, rest) = (seconds.div_euclid(CYCLE_SECONDS), seconds.rem_euclid(CYCLE_SECONDS));
        let Ok(time) = Timestamp::from_second(rest as i64) else { return f64::NAN };
        let date: DateTime = time.to_zoned(TimeZone::UTC).datetime();
        f64::from(match self {
            DatePart::Minute => i16::from(date.minute()),
            DatePart::Hour => i16::from(date.hour()),
            DatePart::DayOfWeek => i16::from(date.weekday().to_sunday_zero_offset()),
            DatePart::DayOfMonth => i16::from(date.day()),
            DatePart::DayOfYear => date.day_of_year(),
            DatePart::DaysInMonth => i16::from(date.days_in_month()),
            DatePart::Month => i16::from(date.month()),
            DatePart::Year => return date.year() as f64 + 400.0 * cycles as f64,
        })
    }
}

/// Go counts seconds without sign from March of the year -292277022400; what is earlier comes out 2^64 seconds later.
fn wrapped(seconds: i64) -> i128 {
    const FIRST_DAY: i128 = -(292_277_022_400 * 3_652_425 / 10_000 + 306);
    const FIRST_SECOND: i128 = FIRST_DAY * 86_400 - 62_135_596_800;
    let seconds = i128::from(seconds);
    if seconds < FIRST_SECOND { seconds + (1 << 64) } else { seconds }
}

/// Go on amd64: what does not fit becomes the lowest integer.
fn whole_seconds(seconds: f64) -> i64 {
    if seconds.is_nan() || seconds >= 9.223372036854776e18 { i64::MIN } else { seconds as i64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let at = |part: DatePart| part.of_seconds(1_136_239_445.9);
        assert_eq!(at(DatePart::Year), 2006.0);
        assert_eq!(at(DatePart::Month), 1.0);
        assert_eq!(at(DatePart::DayOfMonth), 2.0);
        assert_eq!(at(DatePart::DayOfWeek), 1.0);
        assert_eq!(at(DatePart::Hour), 22.0);
        assert_eq!(DatePart::Year.of(-1), 1969.0);
        assert_eq!(DatePart::Year.of_seconds(f64::NAN), 292_277_026_596.0);
        assert_eq!(DatePart::DayOfMonth.of_seconds(f64::NAN), 4.0);
        assert_eq!(DatePart::DaysInMonth.of(951_782_400), 29.0);
    }
}
