/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PS/2 keyboard and mouse behind an 8042: what they queue for the host and how they answer
 * commands. Plain parts without a life of their own, embedded in the controller.
 */
#ifndef DEV_INPUT_PS2_H
#define DEV_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_QUEUE 64 /* a power of two */

/* Bytes on their way to the host; what does not fit is refused by ps2_room(). */
struct ps2_queue {
    uint8_t data[PS2_QUEUE];
    uint8_t head, count;
};

struct ps2_kbd {
    struct ps2_queue replies, keys; /* replies go first */
    uint8_t command;                /* waits for its argument; 0: none */
    uint8_t scan_set;               /* 1 or 2 */
    uint8_t leds, rate, last;
    bool scanning;
};

struct ps2_mouse {
    struct ps2_queue replies;
    uint8_t packet[4], packet_pos, packet_len; /* being sent */
    uint8_t command;
    uint8_t id; /* 0 plain, 3 with a wheel, 4 with five buttons */
    uint8_t rate, resolution, last;
    uint8_t rate_history[3];
    bool scaling21, reporting, remote, wrap;
    uint8_t buttons, sent_buttons;
    int32_t dx, dy, dz; /* since the last packet */
};

void ps2_kbd_reset(struct ps2_kbd *k);
void ps2_kbd_command(struct ps2_kbd *k, uint8_t byte);
void ps2_kbd_key(struct ps2_kbd *k, uint8_t qnum, bool down);
bool ps2_kbd_next(struct ps2_kbd *k, uint8_t *ret); /* false: nothing to send */

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_command(struct ps2_mouse *m, uint8_t byte);
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, uint8_t buttons);
bool ps2_mouse_next(struct ps2_mouse *m, uint8_t *ret);

/* What an 8042 with translation on makes of a set 2 byte (make code or prefix). */
uint8_t ps2_translate(uint8_t set2);

#endif
