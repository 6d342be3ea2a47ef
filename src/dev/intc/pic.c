/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two 8259A of a PC, wired as master and slave on IR2 (Intel 8259A data sheet 231468), and
 * the edge/level control registers of the PIIX. ICW1's and ICW4's bits that only matter on an
 * MCS-80 or in other wirings are taken and ignored as the silicon of a PC does.
 */
#include "dev/intc/pic.h"

#include "base/bits.h"
#include "dev/device.h"

enum { MASTER, SLAVE, CHIPS };
enum { CASCADE_IR = 2 };

enum { ICW1_IC4 = BIT(0), ICW1_SNGL = BIT(1), ICW1_LTIM = BIT(3), ICW1_SELECT = BIT(4) };
enum { ICW4_AEOI = BIT(1), ICW4_SFNM = BIT(4) };
enum {
    OCW3_RIS = BIT(0),
    OCW3_RR = BIT(1),
    OCW3_POLL = BIT(2),
    OCW3_SELECT = BIT(3),
    OCW3_SMM = BIT(5),
    OCW3_ESMM = BIT(6)
};

/* Which lines may be level triggered: not the timer, keyboard, cascade, RTC or FPU (PIIX3 2.5.4).
 */
static const uint8_t elcr_mask[CHIPS] = { 0xf8, 0xde };

struct chip {
    uint8_t lines; /* levels of the inputs */
    uint8_t irr, imr, isr;
    uint8_t vector_base;
    uint8_t lowest; /* IR with the lowest priority: 7 after reset, moved by rotation */
    uint8_t elcr;
    uint8_t icw_step; /* 0: initialised or not begun; 2, 3, 4: the ICW expected next */
    uint8_t icw3;
    bool icw4_wanted, single, level_all;
    bool aeoi, rotate_aeoi, special_mask, nested_special;
    bool read_isr, poll;
};

struct pic {
    struct device dev;
    struct chip chip[CHIPS];
};

/* How far from the highest priority; 0 is highest. */
static unsigned rank(const struct chip *c, unsigned ir)
{
    return (ir - c->lowest - 1) & 7;
}

/* The IR of highest priority in a non-empty set. */
static unsigned highest(const struct chip *c, uint8_t set)
{
    for (unsigned i = 1; i < 8; i++) {
        if (set & BIT((c->lowest + i) & 7))
            return (c->lowest + i) & 7;
    }
    return c->lowest;
}

/* The IR that the chip would interrupt with, or -1. */
static int pending(const struct pic *p, int which)
{
    const struct chip *c = &p->chip[which];
    uint8_t requests = c->irr & ~c->imr;
    uint8_t busy = c->isr;
    unsigned ir;

    /* In special mask mode a masked level in service does not hold up lower ones. */
    if (c->special_mask)
        busy &= ~c->imr;
    /* In special fully nested mode the slave's line may interrupt its own service. */
    if (c->nested_special && which == MASTER)
        busy &= ~BIT(CASCADE_IR);
    if (!requests)
        return -1;
    if (c->special_mask) {
        requests &= ~c->isr;
        if (!requests)
            return -1;
    }
    ir = highest(c, requests);
    if (busy && rank(c, highest(c, busy)) <= rank(c, ir))
        return -1;
    return (int)ir;
}

static bool is_level(const struct chip *c, unsigned ir)
{
    return c->level_all || (c->elcr & BIT(ir));
}

static void set_input(struct chip *c, unsigned ir, bool level)
{
    uint8_t bit = BIT(ir);
    bool was = c->lines & bit;

    if (level)
        c->lines |= bit;
    else
        c->lines &= ~bit;
    if (is_level(c, ir)) {
        c->irr = level ? c->irr | bit : c->irr & ~bit;
    } else if (level && !was) {
        c->irr |= bit;
    } else if (!level) {
        c->irr &= ~bit; /* the edge latch is dropped with the line: that makes IR7 spurious */
    }
}

static void update(struct pic *p)
{
    set_input(&p->chip[MASTER], CASCADE_IR, pending(p, SLAVE) >= 0);
    irq_set(&p->dev.irqs[0], pending(p, MASTER) >= 0);
}

static void pic_input(struct device *dev, unsigned n, bool level)
{
    struct pic *p = (struct pic *)dev;

    if (n == CASCADE_IR)
        return;
    set_input(&p->chip[n / 8], n % 8, level);
    update(p);
}

/* The chip's INTA cycle: take ir into service (-1: spurious). Returns the IR number sent. */
static unsigned take(struct chip *c, int ir)
{
    if (ir < 0)
        return 7;
    if (!is_level(c, ir))
        c->irr &= ~BIT(ir);
    if (!c->aeoi)
        c->isr |= BIT(ir);
    else if (c->rotate_aeoi)
        c->lowest = ir;
    return ir;
}

int pic_acknowledge(void *pic_dev)
{
    struct pic *p = pic_dev;
    int ir = pending(p, MASTER);
    int vector;

    if (ir == CASCADE_IR) {
        int slave_ir = pending(p, SLAVE);

        vector = p->chip[SLAVE].vector_base + take(&p->chip[SLAVE], slave_ir);
        /* the cascade is an edge for the master; it is raised again for the slave's next one */
        take(&p->chip[MASTER], ir);
        set_input(&p->chip[MASTER], CASCADE_IR, false);
    } else {
        vector = p->chip[MASTER].vector_base + take(&p->chip[MASTER], ir);
    }
    update(p);
    return vector;
}

/* --- programming --- */

static void write_icw1(struct chip *c, uint8_t val)
{
    c->irr = 0; /* the edge sense circuit is reset: a line must go low and high again */
    c->imr = 0;
    c->isr = 0;
    c->lowest = 7;
    c->special_mask = c->read_isr = c->poll = false;
    c->icw4_wanted = val & ICW1_IC4;
    c->single = val & ICW1_SNGL;
    c->level_all = val & ICW1_LTIM;
    if (!c->icw4_wanted)
        c->aeoi = c->nested_special = false;
    c->icw_step = 2;
    for (unsigned ir = 0; ir < 8; ir++) {
        if (is_level(c, ir))
            c->irr |= c->lines & BIT(ir);
    }
}

static void write_ocw2(struct device *dev, struct chip *c, uint8_t val)
{
    unsigned cmd = val >> 5, level = val & 7;

    switch (cmd) {
    case 0: /* rotate in AEOI mode: clear */
    case 4: /* set */ c->rotate_aeoi = cmd == 4; break;
    case 1: /* non-specific EOI */
    case 5: /* and rotate */
        if (c->isr) {
            uint8_t busy = c->special_mask && (c->isr & ~c->imr) ? c->isr & ~c->imr : c->isr;
            unsigned ir = highest(c, busy);

            c->isr &= ~BIT(ir);
            if (cmd == 5)
                c->lowest = ir;
        }
        break;
    case 2: /* no operation */ break;
    case 3: /* specific EOI */
    case 7: /* and rotate */
        c->isr &= ~BIT(level);
        if (cmd == 7)
            c->lowest = level;
        break;
    case 6: /* set priority */ c->lowest = level; break;
    }
}

static void write_ocw3(struct chip *c, uint8_t val)
{
    if (val & OCW3_POLL)
        c->poll = true;
    if (val & OCW3_RR)
        c->read_isr = val & OCW3_RIS;
    if (val & OCW3_ESMM)
        c->special_mask = val & OCW3_SMM;
}

static void write_data(struct device *dev, struct chip *c, uint8_t val)
{
    switch (c->icw_step) {
    case 0:
        c->imr = val; /* OCW1 */
        return;
    case 2:
        c->vector_base = val & 0xf8;
        c->icw_step = !c->single ? 3 : c->icw4_wanted ? 4 : 0;
        return;
    case 3:
        c->icw3 = val;
        c->icw_step = c->icw4_wanted ? 4 : 0;
        return;
    case 4:
        c->aeoi = val & ICW4_AEOI;
        c->nested_special = val & ICW4_SFNM;
        c->icw_step = 0;
        if (!(val & 1))
            guest_error(dev, "ICW4 %#x asks for MCS-80 mode, which a PC does not have", val);
        return;
    }
}

static void chip_write(struct device *dev, int which, uint64_t off, uint8_t val)
{
    struct pic *p = (struct pic *)dev;
    struct chip *c = &p->chip[which];

    if (off == 1)
        write_data(dev, c, val);
    else if (val & ICW1_SELECT)
        write_icw1(c, val);
    else if (val & OCW3_SELECT)
        write_ocw3(c, val);
    else
        write_ocw2(dev, c, val);
    update(p);
}

static uint8_t chip_read(struct device *dev, int which, uint64_t off)
{
    struct pic *p = (struct pic *)dev;
    struct chip *c = &p->chip[which];

    if (c->poll) { /* the read is the INTA cycle */
        int ir = pending(p, which);

        c->poll = false;
        if (ir < 0)
            return 0;
        take(c, ir);
        if (which == MASTER && ir == CASCADE_IR)
            set_input(c, CASCADE_IR, false);
        update(p);
        return 0x80 | ir;
    }
    if (off == 1)
        return c->imr;
    return c->read_isr ? c->isr : c->irr;
}

static uint64_t master_read(struct device *dev, uint64_t off, unsigned size)
{
    return chip_read(dev, MASTER, off);
}

static uint64_t slave_read(struct device *dev, uint64_t off, unsigned size)
{
    return chip_read(dev, SLAVE, off);
}

static void master_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    chip_write(dev, MASTER, off, val);
}

static void slave_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    chip_write(dev, SLAVE, off, val);
}

static uint64_t elcr_read(struct device *dev, uint64_t off, unsigned size)
{
    return ((struct pic *)dev)->chip[off].elcr;
}

static void elcr_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct pic *p = (struct pic *)dev;
    struct chip *c = &p->chip[off];

    c->elcr = val & elcr_mask[off];
    /* a level line that is high requests at once, one that is low no longer does */
    c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
    update(p);
}

static void pic_reset(struct device *dev)
{
    struct pic *p = (struct pic *)dev;

    for (int i = 0; i < CHIPS; i++) {
        uint8_t lines = p->chip[i].lines;

        p->chip[i] =
            (struct chip){ .lowest = 7, .lines = i == MASTER ? lines & ~BIT(CASCADE_IR) : lines };
    }
    update(p);
}

static const struct device_window windows[] = {
    { "master", WINDOW_PIO, 2, master_read, master_write, 1, 1 },
    { "slave", WINDOW_PIO, 2, slave_read, slave_write, 1, 1 },
    { "elcr", WINDOW_PIO, 2, elcr_read, elcr_write, 1, 1 },
};

/* clang-format off */
#define CHIP_STATE(i) \
    FIELD(struct pic, chip[i].lines), FIELD(struct pic, chip[i].irr), \
    FIELD(struct pic, chip[i].imr), FIELD(struct pic, chip[i].isr), \
    FIELD(struct pic, chip[i].vector_base), FIELD(struct pic, chip[i].lowest, .max = 7), \
    FIELD(struct pic, chip[i].elcr), FIELD(struct pic, chip[i].icw_step, .max = 4), \
    FIELD(struct pic, chip[i].icw3), FIELD(struct pic, chip[i].icw4_wanted), \
    FIELD(struct pic, chip[i].single), FIELD(struct pic, chip[i].level_all), \
    FIELD(struct pic, chip[i].aeoi), FIELD(struct pic, chip[i].rotate_aeoi), \
    FIELD(struct pic, chip[i].special_mask), FIELD(struct pic, chip[i].nested_special), \
    FIELD(struct pic, chip[i].read_isr), FIELD(struct pic, chip[i].poll)
/* clang-format on */

const struct device_type i8259_type = {
    .name = "i8259",
    .doc = "Pair of 8259A interrupt controllers",
    .size = sizeof(struct pic),
    .state = FIELDS(CHIP_STATE(0), CHIP_STATE(1)),
    .reset = pic_reset,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = 1,
    .inputs = 16,
    .input = pic_input,
};
