//! `Date` of replies: when they were made, to the second, as HTTP writes it (RFC 9110, 5.6.7).
//!
//! Invariant: the text is written once a second at most, and a reply copies it. The reply that nearly every request gets is kept
//! whole, so that it is one copy. Not here: what time it is; the caller says so.

/// `Date: Tue, 01 Dec 2026 13:49:15 GMT` and the end of the line.
const FIELD_LEN: usize = 37;

/// 202 to pages of any site, on a connection that stays: what goes before `Date` and after it.
const ACCEPTED_START: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\n\
    Connection: keep-alive\r\n";
const ACCEPTED_LEN: usize = ACCEPTED_START.len() + FIELD_LEN + 2;

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The last second of the year 9999: the form has no room for more.
const LAST_SECOND: u64 = 253_402_300_799;

/// The time of a turn, written for its replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Date {
    unix_s: u64,
    field: [u8; FIELD_LEN],
    accepted: [u8; ACCEPTED_LEN],
}

impl Date {
    /// Of a time since 1970.
    pub fn new(unix_ms: u64) -> Self {
        let mut accepted = [b'\n'; ACCEPTED_LEN];
        accepted[..ACCEPTED_START.len()].copy_from_slice(ACCEPTED_START);
        accepted[ACCEPTED_LEN - 2] = b'\r';
        let mut date = Self { unix_s: 0, field: [0; FIELD_LEN], accepted };
        date.write(unix_ms / 1000);
        date
    }

    /// The time has gone on, or back.
    #[inline]
    pub fn set(&mut self, unix_ms: u64) {
        let unix_s = unix_ms / 1000;
        if unix_s != self.unix_s {
            self.write(unix_s);
        }
    }

    /// The field, with the end of its line.
    pub(super) fn field(&self) -> &[u8] {
        &self.field
    }

    /// 202 to pages of any site, on a connection that stays.
    pub(super) fn accepted(&self) -> &[u8] {
        &self.accepted
    }

    fn write(&mut self, unix_s: u64) {
        self.unix_s = unix_s;
        let second = unix_s.min(LAST_SECOND);
        let days = second / 86_400;
        let (year, month, day) = civil(days);
        let field = &mut self.field;
        field.copy_from_slice(b"Date: ---, -- --- ---- --:--:-- GMT\r\n");
        field[6..9].copy_from_slice(DAYS[(days % 7) as usize]);
        field[14..17].copy_from_slice(MONTHS[month]);
        let two_digits = [
            (11, day),
            (18, year / 100),
            (20, year % 100),
            (23, second / 3600 % 24),
            (26, second / 60 % 60),
            (29, second % 60),
        ];
        for (at, number) in two_digits {
            field[at] = b'0' + (number / 10 % 10) as u8;
            field[at + 1] = b'0' + (number % 10) as u8;
        }
        self.accepted[ACCEPTED_START.len()..][..FIELD_LEN].copy_from_slice(&self.field);
    }
}

/// Year, month from 0 and day from 1 of a day since 1970, by the Gregorian calendar.
fn civil(days: u64) -> (u64, usize, u64) {
    // Years that begin in March, so that a leap day is the last of its year; 146,097 days are 400 of them, and the first began
    // 719,468 days before 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    (year, (month as usize + 2) % 12, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn text(unix_s: u64) -> String {
        String::from_utf8(Date::new(1000 * unix_s).field().to_vec()).unwrap()
    }

    #[test]
    fn known_times() {
        for (unix_s, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00"),
            // The example of the standard.
            (784_111_777, "Sun, 06 Nov 1994 08:49:37"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00"),
            (1_796_132_955, "Tue, 01 Dec 2026 13:49:15"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59"),
            (LAST_SECOND + 1, "Fri, 31 Dec 9999 23:59:59"),
            (u64::MAX / 1000, "Fri, 31 Dec 9999 23:59:59"),
        ] {
            assert_eq!(text(unix_s), format!("Date: {expected} GMT\r\n"), "{unix_s}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_as_another_calendar_has_it() {
        for day in 0..146_097 {
            let unix_s = 86_400 * day + day % 86_400;
            let other =
                humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s)).to_string();
            let date = text(unix_s);
            let month = 1 + MONTHS.iter().position(|name| date.as_bytes()[14..17] == name[..]).unwrap();
            let rewritten = format!("{}-{month:02}-{}T{}Z", &date[18..22], &date[11..13], &date[23..31]);
            assert_eq!(rewritten, other);
        }
    }

    #[test]
    fn the_text_is_of_the_second_in_which_it_is_set() {
        let mut date = Date::new(0);
        for ms in [999, 1000, 1999, 86_400_000, 5000] {
            date.set(ms);
            assert_eq!(date, Date::new(ms), "{ms}");
        }
        let accepted = String::from_utf8(date.accepted().to_vec()).unwrap();
        assert!(accepted.ends_with("keep-alive\r\nDate: Thu, 01 Jan 1970 00:00:05 GMT\r\n\r\n"), "{accepted}");
    }
}
