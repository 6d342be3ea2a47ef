/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818 real-time clock with 128 bytes of CMOS. Window "ports" (2 ports, 0x70). Output 0 is
 * IRQ. Property: base = "utc", "localtime" or a date "2026-01-31[T12:30:00]"; clock = "host" or
 * "vm" (-rtc's spelling); the board fills CMOS bytes before reset with rtc_set_cmos().
 */
#ifndef DEV_TIMER_RTC_H
#define DEV_TIMER_RTC_H

#include <stdint.h>

struct device;
struct device_type;
extern const struct device_type mc146818_type;

/* Bytes 0x0e..0x7f that firmware reads (memory size, boot order, century at 0x32). Clock registers
 * are not set this way. */
void rtc_set_cmos(struct device *dev, uint8_t index, uint8_t val);
uint8_t rtc_get_cmos(struct device *dev, uint8_t index);

#endif
