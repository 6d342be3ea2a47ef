/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calendar arithmetic for the RTC, proleptic Gregorian, without the C library's time zones. */
#ifndef DEV_TIMER_RTC_TIME_H
#define DEV_TIMER_RTC_TIME_H

#include <stdbool.h>
#include <stdint.h>

struct rtc_time {
    int year;              /* 2026 */
    unsigned month, day;   /* 1..12, 1..31 */
    unsigned hour, min, s; /* 0..23, 0..59, 0..59 */
    unsigned weekday;      /* 1 is Sunday */
};

/* Seconds since 1970-01-01. Fields out of range carry over; weekday is not looked at. */
int64_t rtc_time_to_s(const struct rtc_time *t);
void rtc_time_from_s(int64_t s, struct rtc_time *ret);

/* "2026-01-31" or "2026-01-31T12:30:00", all in range. */
bool rtc_time_parse(const char *text, struct rtc_time *ret);

#endif
