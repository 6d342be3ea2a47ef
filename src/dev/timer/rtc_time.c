/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/timer/rtc_time.h"

#include <stdio.h>
#include <string.h>

#define DAY_S 86400

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01; years begin in March here, so that the leap day is the last. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    int64_t era, in_era, in_year;

    year += floor_div(month - 1, 12);
    month = month - 1 - floor_div(month - 1, 12) * 12; /* 0..11, January first */
    if (month < 2) {
        year--;
        month += 12;
    }
    era = floor_div(year, 400);
    in_era = year - era * 400;
    in_year = (153 * (month - 2) + 2) / 5;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year + day - 1 - 719468;
}

int64_t rtc_time_to_s(const struct rtc_time *t)
{
    return days_from_date(t->year, t->month, t->day) * DAY_S + t->hour * INT64_C(3600) +
           t->min * INT64_C(60) + t->s;
}

void rtc_time_from_s(int64_t s, struct rtc_time *ret)
{
    int64_t days = floor_div(s, DAY_S), z = days + 719468;
    int64_t era = floor_div(z, 146097), in_era = z - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153; /* 0 is March */
    unsigned in_day = (unsigned)(s - days * DAY_S);

    ret->day = (unsigned)(in_year - (153 * month + 2) / 5 + 1);
    ret->month = (unsigned)(month < 10 ? month + 3 : month - 9);
    ret->year = (int)(year + era * 400 + (ret->month <= 2));
    ret->hour = in_day / 3600;
    ret->min = in_day / 60 % 60;
    ret->s = in_day % 60;
    ret->weekday = (unsigned)((days % 7 + 7 + 4) % 7 + 1); /* 1970-01-01 was a Thursday */
}

bool rtc_time_parse(const char *text, struct rtc_time *ret)
{
    struct rtc_time t = { 0 }, back;
    int end = 0;

    if (sscanf(text, "%4d-%2u-%2u%n", &t.year, &t.month, &t.day, &end) != 3 || !end)
        return false;
    text += end;
    if (*text) {
        end = 0;
        if (sscanf(text, "T%2u:%2u:%2u%n", &t.hour, &t.min, &t.s, &end) != 3 || !end || text[end])
            return false;
    }
    rtc_time_from_s(rtc_time_to_s(&t), &back);
    t.weekday = back.weekday;
    *ret = t;
    return t.year >= 1900 && back.year == t.year && back.month == t.month && back.day == t.day &&
           back.hour == t.hour && back.min == t.min && back.s == t.s;
}
