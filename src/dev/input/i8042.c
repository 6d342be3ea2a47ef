/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8042 keyboard controller as in a PS/2 (IBM PS/2 Hardware Interface Technical Reference), with
 * port 92h. One output buffer: filled by the controller's own answers first, then the keyboard,
 * then the mouse, each time the guest has read it.
 */
#include "dev/input/i8042.h"

#include "base/bits.h"
#include "dev/device.h"
#include "dev/input/ps2.h"

enum { ST_OBF = BIT(0), ST_SYS = BIT(2), ST_CMD = BIT(3), ST_UNLOCKED = BIT(4), ST_AUX = BIT(5) };
enum {
    CB_KBD_INT = BIT(0),
    CB_AUX_INT = BIT(1),
    CB_SYS = BIT(2),
    CB_KBD_OFF = BIT(4),
    CB_AUX_OFF = BIT(5),
    CB_TRANSLATE = BIT(6)
};
enum { OUT_NO_RESET = BIT(0), OUT_A20 = BIT(1), OUT_KBD_IRQ = BIT(4), OUT_AUX_IRQ = BIT(5) };
enum { P92_RESET = BIT(0), P92_A20 = BIT(1) };

#define REPLIES 4

/* where the byte in the output buffer came from */
enum source { FROM_NONE, FROM_CONTROLLER, FROM_KBD, FROM_AUX };

struct i8042 {
    struct device dev;
    struct ps2_kbd kbd;
    struct ps2_mouse mouse;
    /* state */
    uint8_t ram[32]; /* [0] is the command byte */
    uint8_t status;  /* ST_SYS and ST_CMD; the rest follows from below */
    uint8_t command; /* waits for a byte at port 60h; 0: none */
    uint8_t out, out_source;
    uint8_t replies[REPLIES], reply_source[REPLIES], reply_count;
    bool a20, break_prefix; /* F0 was seen while translating */
};

static uint8_t command_byte(const struct i8042 *c)
{
    return c->ram[0];
}

static void update_irqs(struct i8042 *c)
{
    bool aux = c->out_source == FROM_AUX, kbd = c->out_source && !aux;

    irq_set(&c->dev.irqs[I8042_OUT_KBD], kbd && (command_byte(c) & CB_KBD_INT));
    irq_set(&c->dev.irqs[I8042_OUT_MOUSE], aux && (command_byte(c) & CB_AUX_INT));
}

static void put(struct i8042 *c, uint8_t byte, enum source from)
{
    c->out = byte;
    c->out_source = from;
}

static bool fill_from_kbd(struct i8042 *c)
{
    uint8_t byte;

    while (!(command_byte(c) & CB_KBD_OFF) && ps2_kbd_next(&c->kbd, &byte)) {
        if (command_byte(c) & CB_TRANSLATE) {
            if (byte == 0xf0) {
                c->break_prefix = true;
                continue;
            }
            byte = ps2_translate(byte);
            if (c->break_prefix)
                byte |= 0x80;
        }
        c->break_prefix = false;
        put(c, byte, FROM_KBD);
        return true;
    }
    return false;
}

/* Put the next byte into the output buffer if it is free. */
static void fill(struct i8042 *c)
{
    uint8_t byte;

    if (c->out_source == FROM_NONE) {
        if (c->reply_count) {
            put(c, c->replies[0], c->reply_source[0]);
            c->reply_count--;
            for (unsigned i = 0; i < c->reply_count; i++) {
                c->replies[i] = c->replies[i + 1];
                c->reply_source[i] = c->reply_source[i + 1];
            }
        } else if (!fill_from_kbd(c) && !(command_byte(c) & CB_AUX_OFF) &&
                   ps2_mouse_next(&c->mouse, &byte)) {
            put(c, byte, FROM_AUX);
        }
    }
    update_irqs(c);
}

static void reply(struct i8042 *c, uint8_t byte, enum source from)
{
    if (c->reply_count == REPLIES) {
        guest_error(&c->dev, "answers are not read: one is dropped");
        return;
    }
    c->replies[c->reply_count] = byte;
    c->reply_source[c->reply_count++] = (uint8_t)from;
}

static void set_a20(struct i8042 *c, bool on)
{
    c->a20 = on;
    irq_set(&c->dev.irqs[I8042_OUT_A20], on);
}

static void pulse_reset(struct i8042 *c)
{
    irq_pulse(&c->dev.irqs[I8042_OUT_RESET]);
}

static uint8_t output_port(const struct i8042 *c)
{
    return (uint8_t)(OUT_NO_RESET | 0xc0 | (c->a20 ? OUT_A20 : 0) |
                     (c->dev.irqs[I8042_OUT_KBD].level ? OUT_KBD_IRQ : 0) |
                     (c->dev.irqs[I8042_OUT_MOUSE].level ? OUT_AUX_IRQ : 0));
}

static void write_output_port(struct i8042 *c, uint8_t val)
{
    set_a20(c, val & OUT_A20);
    if (!(val & OUT_NO_RESET))
        pulse_reset(c);
}

/* --- port 64h --- */

static void controller_command(struct i8042 *c, uint8_t cmd)
{
    switch (cmd) {
    case 0x20 ... 0x3f: reply(c, c->ram[cmd & 0x1f], FROM_CONTROLLER); break;
    case 0x60 ... 0x7f:
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xd4: c->command = cmd; break;
    case 0xa7: c->ram[0] |= CB_AUX_OFF; break;
    case 0xa8: c->ram[0] &= ~CB_AUX_OFF; break;
    case 0xa9: /* test of the mouse's lines: good */
    case 0xab: /* and of the keyboard's */ reply(c, 0x00, FROM_CONTROLLER); break;
    case 0xaa:
        c->status |= ST_SYS;
        c->ram[0] |= CB_SYS;
        reply(c, 0x55, FROM_CONTROLLER);
        break;
    case 0xad: c->ram[0] |= CB_KBD_OFF; break;
    case 0xae: c->ram[0] &= ~CB_KBD_OFF; break;
    case 0xc0: /* input port: keyboard not inhibited */ reply(c, 0x80, FROM_CONTROLLER); break;
    case 0xd0: reply(c, output_port(c), FROM_CONTROLLER); break;
    case 0xdd:
    case 0xdf: set_a20(c, cmd == 0xdf); break;
    case 0xe0: /* test inputs: clock and data lines */ reply(c, 0x00, FROM_CONTROLLER); break;
    case 0xf0 ... 0xff: /* pulse output port bits that are 0 */
        if (!(cmd & OUT_NO_RESET))
            pulse_reset(c);
        break;
    default: guest_error(&c->dev, "unknown controller command %#x", cmd); break;
    }
}

static void command_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct i8042 *c = (struct i8042 *)dev;

    c->status |= ST_CMD;
    c->command = 0;
    controller_command(c, (uint8_t)val);
    fill(c);
}

static uint64_t command_read(struct device *dev, uint64_t off, unsigned size)
{
    struct i8042 *c = (struct i8042 *)dev;

    /* The input buffer is never full: bytes are handled as they are written. */
    return c->status | ST_UNLOCKED | (c->out_source ? ST_OBF : 0) |
           (c->out_source == FROM_AUX ? ST_AUX : 0);
}

/* --- port 60h --- */

static void data_write(struct device *dev, uint64_t off, uint64_t val64, unsigned size)
{
    struct i8042 *c = (struct i8042 *)dev;
    uint8_t val = (uint8_t)val64, cmd = c->command;

    c->status &= ~ST_CMD;
    c->command = 0;
    switch (cmd) {
    case 0: /* to the keyboard; that enables its line */
        c->ram[0] &= ~CB_KBD_OFF;
        c->break_prefix = false;
        ps2_kbd_command(&c->kbd, val);
        break;
    case 0x60:
        c->ram[0] = val;
        c->status = (uint8_t)((c->status & ~ST_SYS) | (val & CB_SYS ? ST_SYS : 0));
        break;
    case 0x61 ... 0x7f: c->ram[cmd & 0x1f] = val; break;
    case 0xd1: write_output_port(c, val); break;
    case 0xd2: reply(c, val, FROM_KBD); break;
    case 0xd3: reply(c, val, FROM_AUX); break;
    case 0xd4:
        c->ram[0] &= ~CB_AUX_OFF;
        ps2_mouse_command(&c->mouse, val);
        break;
    }
    fill(c);
}

static uint64_t data_read(struct device *dev, uint64_t off, unsigned size)
{
    struct i8042 *c = (struct i8042 *)dev;
    uint8_t val = c->out;

    c->out_source = FROM_NONE;
    update_irqs(c); /* the line falls, so that the next byte is an edge again */
    fill(c);
    return val;
}

/* --- port 92h --- */

static uint64_t port92_read(struct device *dev, uint64_t off, unsigned size)
{
    return ((struct i8042 *)dev)->a20 ? P92_A20 : 0;
}

static void port92_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct i8042 *c = (struct i8042 *)dev;

    set_a20(c, val & P92_A20);
    if (val & P92_RESET)
        pulse_reset(c);
}

/* --- input of the host --- */

void i8042_key(struct device *dev, uint8_t qnum, bool down)
{
    struct i8042 *c = (struct i8042 *)dev;

    ps2_kbd_key(&c->kbd, qnum, down);
    fill(c);
}

void i8042_mouse(struct device *dev, int dx, int dy, int dz, uint8_t buttons)
{
    struct i8042 *c = (struct i8042 *)dev;

    ps2_mouse_move(&c->mouse, dx, dy, dz, buttons);
    fill(c);
}

/* --- life --- */

static void i8042_reset(struct device *dev)
{
    struct i8042 *c = (struct i8042 *)dev;

    ps2_kbd_reset(&c->kbd);
    ps2_mouse_reset(&c->mouse);
    for (unsigned i = 0; i < ARRAY_SIZE(c->ram); i++)
        c->ram[i] = 0;
    /* As firmware leaves it, for kernels that are started without any. */
    c->ram[0] = CB_KBD_INT | CB_SYS | CB_AUX_OFF | CB_TRANSLATE;
    c->status = ST_SYS;
    c->command = c->out = c->reply_count = 0;
    c->out_source = FROM_NONE;
    c->break_prefix = false;
    set_a20(c, true);
    update_irqs(c);
}

static bool i8042_loaded(struct device *dev, struct error *err)
{
    struct i8042 *c = (struct i8042 *)dev;

    if (c->mouse.packet_pos > c->mouse.packet_len)
        c->mouse.packet_pos = c->mouse.packet_len;
    set_a20(c, c->a20);
    update_irqs(c);
    return true;
}

static const struct device_window windows[] = {
    { "data", WINDOW_PIO, 1, data_read, data_write, 1, 1 },
    { "command", WINDOW_PIO, 1, command_read, command_write, 1, 1 },
    { "port92", WINDOW_PIO, 1, port92_read, port92_write, 1, 1 },
};

/* clang-format off */
#define QUEUE_STATE(q) \
    FIELD_ARRAY(struct i8042, q.data), FIELD(struct i8042, q.head, .max = PS2_QUEUE - 1), \
    FIELD(struct i8042, q.count, .max = PS2_QUEUE)
#define KBD(m, ...)   FIELD(struct i8042, kbd.m, ##__VA_ARGS__)
#define MOUSE(m, ...) FIELD(struct i8042, mouse.m, ##__VA_ARGS__)
/* clang-format on */

const struct device_type i8042_type = {
    .name = "i8042",
    .doc = "Keyboard controller with PS/2 keyboard and mouse",
    .size = sizeof(struct i8042),
    .state =
        FIELDS(FIELD_ARRAY(struct i8042, ram), FIELD(struct i8042, status),
               FIELD(struct i8042, command), FIELD(struct i8042, out),
               FIELD(struct i8042, out_source, .max = FROM_AUX), FIELD_ARRAY(struct i8042, replies),
               FIELD_ARRAY(struct i8042, reply_source, .max = FROM_AUX),
               FIELD(struct i8042, reply_count, .max = REPLIES), FIELD(struct i8042, a20),
               FIELD(struct i8042, break_prefix), QUEUE_STATE(kbd.replies), QUEUE_STATE(kbd.keys),
               KBD(command), KBD(scan_set, .min = 1, .max = 2), KBD(leds), KBD(rate), KBD(last),
               KBD(scanning), QUEUE_STATE(mouse.replies), FIELD_ARRAY(struct i8042, mouse.packet),
               MOUSE(packet_pos, .max = 4), MOUSE(packet_len, .max = 4), MOUSE(command),
               MOUSE(id, .max = 4), MOUSE(rate), MOUSE(resolution), MOUSE(last),
               FIELD_ARRAY(struct i8042, mouse.rate_history), MOUSE(scaling21), MOUSE(reporting),
               MOUSE(remote), MOUSE(wrap), MOUSE(buttons), MOUSE(sent_buttons),
               MOUSE(dx, .min = -4096, .max = 4096), MOUSE(dy, .min = -4096, .max = 4096),
               MOUSE(dz, .min = -64, .max = 64)),
    .reset = i8042_reset,
    .loaded = i8042_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = I8042_OUT_COUNT,
};
