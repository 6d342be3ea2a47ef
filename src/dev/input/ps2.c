/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PS/2 keyboard and mouse (IBM PS/2 Hardware Interface Technical Reference, 1990; IntelliMouse). */
#include "dev/input/ps2.h"

#include <string.h>

#include "base/bits.h"

enum { ACK = 0xfa, RESEND = 0xfe, BAT_OK = 0xaa, ECHO = 0xee };

/* Set 2 to set 1, as the 8042's mask ROM has it. */
static const uint8_t set1_of[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

uint8_t ps2_translate(uint8_t set2)
{
    if (set2 < 128)
        return set1_of[set2];
    return set2 == 0x83 ? 0x41 : set2 == 0x84 ? 0x54 : set2;
}

/* The set 2 make code of a set 1 make code; 0: no such key. F7 and SysRq have two rows: theirs are
 * the ones above 0x7f. */
static uint8_t set2_of(uint8_t set1)
{
    if (set1 == 0x41)
        return 0x83;
    if (set1 == 0x54)
        return 0x84;
    for (unsigned i = 1; i < 128; i++) {
        if (set1_of[i] == set1)
            return (uint8_t)i;
    }
    return 0;
}

/* --- queues --- */

static unsigned room(const struct ps2_queue *q)
{
    return PS2_QUEUE - q->count;
}

static void push(struct ps2_queue *q, uint8_t byte)
{
    if (room(q))
        q->data[(q->head + q->count++) % PS2_QUEUE] = byte;
}

static bool pop(struct ps2_queue *q, uint8_t *ret)
{
    if (!q->count)
        return false;
    *ret = q->data[q->head];
    q->head = (q->head + 1) % PS2_QUEUE;
    q->count--;
    return true;
}

static void push_bytes(struct ps2_queue *q, const uint8_t *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        push(q, v[i]);
}

/* --- keyboard --- */

static void kbd_defaults(struct ps2_kbd *k)
{
    k->scan_set = 2;
    k->rate = 0x2b;
    k->keys.count = 0;
    k->command = 0;
}

void ps2_kbd_reset(struct ps2_kbd *k)
{
    memset(k, 0, sizeof *k);
    kbd_defaults(k);
    k->scanning = true;
}

/* The argument of a two-byte command. */
static void kbd_argument(struct ps2_kbd *k, uint8_t cmd, uint8_t arg)
{
    switch (cmd) {
    case 0xed:
        k->leds = arg & 7;
        push(&k->replies, ACK);
        break;
    case 0xf0:
        if (arg > 2) { /* set 3 is not offered */
            push(&k->replies, RESEND);
            break;
        }
        push(&k->replies, ACK);
        if (arg == 0)
            push(&k->replies, k->scan_set);
        else
            k->scan_set = arg;
        break;
    case 0xf3:
        k->rate = arg & 0x7f;
        push(&k->replies, ACK);
        break;
    default: /* 0xfb..0xfd set key types of set 3: no effect on the other sets */
        push(&k->replies, ACK);
        break;
    }
}

void ps2_kbd_command(struct ps2_kbd *k, uint8_t byte)
{
    uint8_t cmd = k->command;

    if (cmd && byte < 0xed) {
        k->command = 0;
        kbd_argument(k, cmd, byte);
        return;
    }
    k->command = 0;
    if (byte != RESEND)
        k->replies.count = 0; /* a new command drops what was not read */
    switch (byte) {
    case 0xed:
    case 0xf0:
    case 0xf3:
    case 0xfb:
    case 0xfc:
    case 0xfd:
        k->command = byte;
        push(&k->replies, ACK);
        break;
    case ECHO: push(&k->replies, ECHO); break;
    case 0xf2: push_bytes(&k->replies, (const uint8_t[]){ ACK, 0xab, 0x83 }, 3); break;
    case 0xf4:
        k->scanning = true;
        k->keys.count = 0;
        push(&k->replies, ACK);
        break;
    case 0xf5:
    case 0xf6:
        kbd_defaults(k);
        k->scanning = byte == 0xf6;
        push(&k->replies, ACK);
        break;
    case 0xf7:
    case 0xf8:
    case 0xf9:
    case 0xfa: push(&k->replies, ACK); break;
    case RESEND: push(&k->replies, k->last); break;
    case 0xff:
        kbd_defaults(k);
        k->scanning = true;
        k->leds = 0;
        push_bytes(&k->replies, (const uint8_t[]){ ACK, BAT_OK }, 2);
        break;
    default: push(&k->replies, RESEND); break;
    }
}

/* Bytes of one key event; at most 8. */
static unsigned key_bytes(const struct ps2_kbd *k, uint8_t qnum, bool down, uint8_t *v)
{
    static const uint8_t pause2[] = { 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 };
    static const uint8_t pause1[] = { 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 };
    uint8_t set1 = qnum & 0x7f, code;
    unsigned n = 0;

    if (qnum == 0xc6) { /* Pause has no break code */
        if (!down)
            return 0;
        n = k->scan_set == 2 ? sizeof pause2 : sizeof pause1;
        memcpy(v, k->scan_set == 2 ? pause2 : pause1, n);
        return n;
    }
    code = k->scan_set == 2 ? set2_of(set1) : set1;
    if (!code)
        return 0;
    if (qnum & 0x80)
        v[n++] = 0xe0;
    if (!down && k->scan_set == 2)
        v[n++] = 0xf0;
    v[n++] = !down && k->scan_set == 1 ? code | 0x80 : code;
    return n;
}

void ps2_kbd_key(struct ps2_kbd *k, uint8_t qnum, bool down)
{
    uint8_t v[8];
    unsigned n = key_bytes(k, qnum, down, v);

    if (!k->scanning || !n)
        return;
    if (room(&k->keys) > n) {
        push_bytes(&k->keys, v, n);
    } else if (room(&k->keys) == 1) {
        return; /* the overrun code is in already */
    } else {
        push(&k->keys, k->scan_set == 2 ? 0x00 : 0xff); /* overrun */
    }
}

bool ps2_kbd_next(struct ps2_kbd *k, uint8_t *ret)
{
    if (!pop(&k->replies, ret) && (k->command || !pop(&k->keys, ret)))
        return false;
    k->last = *ret;
    return true;
}

/* --- mouse --- */

static void mouse_defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scaling21 = m->reporting = m->remote = m->wrap = false;
    m->command = 0;
    m->packet_pos = m->packet_len = 0;
    m->dx = m->dy = m->dz = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
    memset(m, 0, sizeof *m);
    mouse_defaults(m);
}

static int32_t clamp(int32_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* 2:1 scaling of the PS/2 reference: 0 1 1 3 6 9 then double. */
static int32_t scale21(int32_t v)
{
    static const uint8_t small[] = { 0, 1, 1, 3, 6, 9 };
    int32_t a = v < 0 ? -v : v;

    a = a < 6 ? small[a] : 2 * a;
    return clamp(v < 0 ? -a : a, -256, 255);
}

static void make_packet(struct ps2_mouse *m)
{
    int32_t dx = clamp(m->dx, -256, 255), dy = clamp(m->dy, -256, 255);
    int32_t dz = clamp(m->dz, -8, 7);
    bool scaled = m->scaling21 && !m->remote;
    int32_t x = scaled ? scale21(dx) : dx, y = scaled ? scale21(dy) : dy;

    m->packet[0] =
        (uint8_t)(BIT(3) | (m->buttons & 7) | (x < 0 ? BIT(4) : 0) | (y < 0 ? BIT(5) : 0));
    m->packet[1] = (uint8_t)x;
    m->packet[2] = (uint8_t)y;
    m->packet[3] = (uint8_t)dz;
    if (m->id == 4)
        m->packet[3] = (uint8_t)((dz & 0xf) | (m->buttons & 0x18) << 1);
    m->packet_pos = 0;
    m->packet_len = m->id ? 4 : 3;
    m->dx -= dx;
    m->dy -= dy;
    m->dz = m->id ? m->dz - dz : 0;
    m->sent_buttons = m->buttons;
}

static void set_rate(struct ps2_mouse *m, uint8_t rate)
{
    m->rate = rate;
    m->rate_history[0] = m->rate_history[1];
    m->rate_history[1] = m->rate_history[2];
    m->rate_history[2] = rate;
    /* the knocks that turn a plain mouse into one with a wheel, and that into five buttons */
    if (m->rate_history[0] == 200 && m->rate_history[1] == 100 && rate == 80)
        m->id = MAX(m->id, 3);
    if (m->id >= 3 && m->rate_history[0] == 200 && m->rate_history[1] == 200 && rate == 80)
        m->id = 4;
}

static void mouse_argument(struct ps2_mouse *m, uint8_t cmd, uint8_t arg)
{
    push(&m->replies, ACK);
    if (cmd == 0xf3)
        set_rate(m, arg);
    else
        m->resolution = arg & 3;
}

static void push_status(struct ps2_mouse *m)
{
    uint8_t flags =
        (uint8_t)((m->buttons & 1) << 2 | (m->buttons & 2) >> 1 | (m->buttons & 4) >> 1 |
                  m->scaling21 << 4 | m->reporting << 5 | m->remote << 6);

    push_bytes(&m->replies, (const uint8_t[]){ ACK, flags, m->resolution, m->rate }, 4);
}

static void mouse_command(struct ps2_mouse *m, uint8_t byte)
{
    switch (byte) {
    case 0xe6:
    case 0xe7:
        m->scaling21 = byte == 0xe7;
        push(&m->replies, ACK);
        break;
    case 0xe8:
    case 0xf3:
        m->command = byte;
        push(&m->replies, ACK);
        break;
    case 0xe9: push_status(m); break;
    case 0xea:
    case 0xf0:
        m->remote = byte == 0xf0;
        push(&m->replies, ACK);
        break;
    case 0xeb:
        push(&m->replies, ACK);
        make_packet(m);
        break;
    case 0xec: push(&m->replies, ACK); break;
    case 0xee:
        m->wrap = true;
        push(&m->replies, ACK);
        break;
    case 0xf2: push_bytes(&m->replies, (const uint8_t[]){ ACK, m->id }, 2); break;
    case 0xf4:
        m->reporting = true;
        m->dx = m->dy = m->dz = 0;
        push(&m->replies, ACK);
        break;
    case 0xf5:
        m->reporting = false;
        push(&m->replies, ACK);
        break;
    case 0xf6:
        mouse_defaults(m);
        push(&m->replies, ACK);
        break;
    case RESEND: push(&m->replies, m->last); break;
    case 0xff:
        mouse_defaults(m);
        m->id = 0;
        push_bytes(&m->replies, (const uint8_t[]){ ACK, BAT_OK, 0 }, 3);
        break;
    default: push(&m->replies, RESEND); break;
    }
}

void ps2_mouse_command(struct ps2_mouse *m, uint8_t byte)
{
    uint8_t cmd = m->command;

    if (m->wrap && byte != 0xec && byte != 0xff) {
        push(&m->replies, byte);
        return;
    }
    m->wrap = false;
    m->command = 0;
    if (byte != RESEND)
        m->replies.count = 0;
    m->packet_pos = m->packet_len; /* a packet in the middle of being sent is dropped */
    if (cmd)
        mouse_argument(m, cmd, byte);
    else
        mouse_command(m, byte);
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, uint8_t buttons)
{
    /* far more than anyone moves between two packets; keeps the sums from overflowing */
    m->dx = clamp(m->dx + clamp(dx, -4096, 4096), -4096, 4096);
    m->dy = clamp(m->dy - clamp(dy, -4096, 4096), -4096, 4096);
    m->dz = clamp(m->dz + clamp(dz, -64, 64), -64, 64);
    m->buttons = buttons & 0x1f;
}

bool ps2_mouse_next(struct ps2_mouse *m, uint8_t *ret)
{
    bool news = m->dx || m->dy || (m->id && m->dz) || m->buttons != m->sent_buttons;

    if (!pop(&m->replies, ret)) {
        if (m->packet_pos == m->packet_len && m->reporting && !m->remote && !m->command && news)
            make_packet(m);
        if (m->packet_pos == m->packet_len)
            return false;
        *ret = m->packet[m->packet_pos++];
    }
    m->last = *ret;
    return true;
}
