/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 16550A UART (National PC16550D data sheet). Bytes leave for the backend at once rather than at
 * the programmed speed; while the backend is slow THRE stays low, so that a guest which obeys it
 * loses nothing. Interrupts are not gated by OUT2: guests written for virtual machines rely on it.
 */
#include "dev/char/uart.h"

#include <string.h>

#include "base/bits.h"
#include "chardev/chardev.h"
#include "dev/device.h"

#define FIFO_SIZE 16
#define CLOCK_HZ  1843200

enum { REG_DATA = 0, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

enum { IER_RX = BIT(0), IER_TX = BIT(1), IER_LINE = BIT(2), IER_MODEM = BIT(3) };
enum {
    IIR_NONE = 0x1,
    IIR_LINE = 0x6,
    IIR_RX = 0x4,
    IIR_TIMEOUT = 0xc,
    IIR_TX = 0x2,
    IIR_MODEM = 0x0,
    IIR_FIFO = 0xc0
};
enum {
    FCR_ENABLE = BIT(0),
    FCR_CLEAR_RX = BIT(1),
    FCR_CLEAR_TX = BIT(2),
    FCR_DMA = BIT(3),
    FCR_TRIGGER = 0xc0
};
enum { LCR_BREAK = BIT(6), LCR_DLAB = BIT(7) };
enum {
    MCR_DTR = BIT(0),
    MCR_RTS = BIT(1),
    MCR_OUT1 = BIT(2),
    MCR_OUT2 = BIT(3),
    MCR_LOOP = BIT(4)
};
enum {
    LSR_DR = BIT(0),
    LSR_OE = BIT(1),
    LSR_PE = BIT(2),
    LSR_FE = BIT(3),
    LSR_BI = BIT(4),
    LSR_THRE = BIT(5),
    LSR_TEMT = BIT(6),
    LSR_FIFO_ERROR = BIT(7)
};
enum {
    MSR_DCTS = BIT(0),
    MSR_DDSR = BIT(1),
    MSR_TERI = BIT(2),
    MSR_DDCD = BIT(3),
    MSR_CTS = BIT(4),
    MSR_DSR = BIT(5),
    MSR_RI = BIT(6),
    MSR_DCD = BIT(7)
};

#define LSR_ERRORS (LSR_OE | LSR_PE | LSR_FE | LSR_BI)

struct uart {
    struct device dev;
    struct chardev *chr;
    struct timer timeout; /* four character times without a receiver event */
    /* state */
    uint8_t ier, fcr, lcr, mcr, msr, scratch;
    uint8_t errors;  /* LSR_ERRORS of the byte on top, and overrun */
    bool tx_pending; /* THRE interrupt */
    bool tx_busy;    /* the backend would not take a byte: THRE is low */
    bool timed_out;  /* character timeout interrupt */
    uint16_t divisor;
    uint8_t rx[FIFO_SIZE], rx_errors[FIFO_SIZE];
    uint8_t rx_head, rx_count;
};

static unsigned rx_size(const struct uart *u)
{
    return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned trigger(const struct uart *u)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };

    return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

static uint8_t lsr(const struct uart *u)
{
    uint8_t v = u->errors;

    if (u->rx_count)
        v |= LSR_DR;
    if (!u->tx_busy)
        v |= LSR_THRE | LSR_TEMT;
    if (u->fcr & FCR_ENABLE) {
        for (unsigned i = 0; i < u->rx_count; i++) {
            if (u->rx_errors[(u->rx_head + i) % FIFO_SIZE])
                v |= LSR_FIFO_ERROR;
        }
    }
    return v;
}

/* The interrupt of highest priority, as IIR shows it. */
static uint8_t cause(const struct uart *u)
{
    if ((u->ier & IER_LINE) && u->errors)
        return IIR_LINE;
    if ((u->ier & IER_RX) && u->rx_count >= trigger(u))
        return IIR_RX;
    if ((u->ier & IER_RX) && u->timed_out)
        return IIR_TIMEOUT;
    if ((u->ier & IER_TX) && u->tx_pending)
        return IIR_TX;
    if ((u->ier & IER_MODEM) && (u->msr & (MSR_DCTS | MSR_DDSR | MSR_TERI | MSR_DDCD)))
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(struct uart *u)
{
    irq_set(&u->dev.irqs[0], cause(u) != IIR_NONE);
}

/* Start bit, data, parity, stop bits at the programmed speed. */
static int64_t char_ns(const struct uart *u)
{
    unsigned nbits = 1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + 1 + (u->lcr >> 2 & 1);
    unsigned divisor = u->divisor ? u->divisor : 1;

    return (int64_t)nbits * divisor * 16 * INT64_C(1000000000) / CLOCK_HZ;
}

static void restart_timeout(struct uart *u)
{
    u->timed_out = false;
    if ((u->fcr & FCR_ENABLE) && u->rx_count)
        timer_set_ns(&u->timeout, device_now_ns(&u->dev) + 4 * char_ns(u));
    else
        timer_cancel(&u->timeout);
}

static void timeout_expired(void *opaque)
{
    struct uart *u = opaque;

    if (u->rx_count)
        u->timed_out = true;
    update_irq(u);
}

/* --- receiver --- */

/* The errors of the byte that reached the top of the FIFO show in LSR. */
static void show_top(struct uart *u)
{
    if (u->rx_count)
        u->errors |= u->rx_errors[u->rx_head];
}

static void receive(struct uart *u, uint8_t byte, uint8_t errors)
{
    unsigned at;

    if (u->rx_count >= rx_size(u)) {
        u->errors |= LSR_OE;
        if (u->fcr & FCR_ENABLE)
            return; /* FIFO: the new byte is lost; without one it replaces the old */
        u->rx_count = 0;
    }
    at = (u->rx_head + u->rx_count) % FIFO_SIZE;
    u->rx[at] = byte;
    u->rx_errors[at] = errors;
    if (u->rx_count++ == 0)
        show_top(u);
    restart_timeout(u);
}

static uint8_t read_data(struct uart *u)
{
    uint8_t byte = u->rx[u->rx_head];

    if (!u->rx_count)
        return byte; /* the register keeps what was read last */
    u->rx_errors[u->rx_head] = 0;
    if (u->fcr & FCR_ENABLE)
        u->rx_head = (u->rx_head + 1) % FIFO_SIZE;
    u->rx_count--;
    show_top(u);
    restart_timeout(u);
    if (u->chr)
        chardev_accept_input(u->chr);
    return byte;
}

static void clear_rx(struct uart *u)
{
    u->rx_head = u->rx_count = 0;
    memset(u->rx_errors, 0, sizeof u->rx_errors);
    restart_timeout(u);
    if (u->chr)
        chardev_accept_input(u->chr);
}

static size_t uart_can_read(void *opaque)
{
    struct uart *u = opaque;

    return u->mcr & MCR_LOOP ? 0 : rx_size(u) - MIN(u->rx_count, rx_size(u));
}

static void uart_receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct uart *u = opaque;

    for (size_t i = 0; i < len; i++)
        receive(u, buf[i], 0);
    update_irq(u);
}

/* --- transmitter --- */

static void transmit(struct uart *u, uint8_t byte)
{
    u->tx_pending = false;
    if (u->mcr & MCR_LOOP) {
        receive(u, byte, 0);
    } else if (u->chr) {
        if (chardev_write(u->chr, &byte, 1) == 0)
            guest_error(&u->dev, "byte written while THRE was low is lost");
        u->tx_busy = !chardev_can_write(u->chr);
    }
    if (!u->tx_busy)
        u->tx_pending = true;
}

static void uart_writable(void *opaque)
{
    struct uart *u = opaque;

    if (!u->tx_busy)
        return;
    u->tx_busy = false;
    u->tx_pending = true;
    update_irq(u);
}

/* --- modem lines --- */

static uint8_t modem_inputs(const struct uart *u)
{
    uint8_t v = 0;

    if (u->mcr & MCR_LOOP) {
        v |= u->mcr & MCR_RTS ? MSR_CTS : 0;
        v |= u->mcr & MCR_DTR ? MSR_DSR : 0;
        v |= u->mcr & MCR_OUT1 ? MSR_RI : 0;
        v |= u->mcr & MCR_OUT2 ? MSR_DCD : 0;
    } else if (u->chr && chardev_connected(u->chr)) {
        v = MSR_CTS | MSR_DSR | MSR_DCD;
    }
    return v;
}

static void update_modem(struct uart *u)
{
    uint8_t now = modem_inputs(u), was = u->msr & 0xf0, changed = now ^ was;

    u->msr = (uint8_t)(now | (u->msr & 0xf));
    u->msr |= (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;
    if (was & ~now & MSR_RI)
        u->msr |= MSR_TERI;
}

static void uart_event(void *opaque, enum chardev_event ev)
{
    struct uart *u = opaque;

    if (ev == CHARDEV_BREAK) {
        if (!(u->mcr & MCR_LOOP))
            receive(u, 0, LSR_BI);
    } else {
        update_modem(u);
    }
    update_irq(u);
}

static const struct chardev_client client = {
    .can_read = uart_can_read,
    .read = uart_receive,
    .event = uart_event,
    .writable = uart_writable,
};

/* --- registers --- */

static uint64_t uart_read(struct device *dev, uint64_t off, unsigned size)
{
    struct uart *u = (struct uart *)dev;
    bool dlab = u->lcr & LCR_DLAB;
    uint8_t val = 0;

    switch (off) {
    case REG_DATA: val = dlab ? (uint8_t)u->divisor : read_data(u); break;
    case REG_IER: val = dlab ? u->divisor >> 8 : u->ier; break;
    case REG_IIR_FCR:
        val = cause(u);
        if (val == IIR_TX)
            u->tx_pending = false;
        if (u->fcr & FCR_ENABLE)
            val |= IIR_FIFO;
        break;
    case REG_LCR: val = u->lcr; break;
    case REG_MCR: val = u->mcr; break;
    case REG_LSR:
        val = lsr(u);
        u->errors = 0;
        break;
    case REG_MSR:
        val = u->msr;
        u->msr &= 0xf0;
        break;
    case REG_SCRATCH: val = u->scratch; break;
    }
    update_irq(u);
    return val;
}

static void write_fcr(struct uart *u, uint8_t val)
{
    bool toggled = (val ^ u->fcr) & FCR_ENABLE;

    /* The other bits take effect only with the enable bit. */
    u->fcr = val & FCR_ENABLE ? val & (FCR_ENABLE | FCR_DMA | FCR_TRIGGER) : 0;
    if (toggled || ((val & FCR_ENABLE) && (val & FCR_CLEAR_RX)))
        clear_rx(u);
}

static void write_ier(struct uart *u, uint8_t val)
{
    bool tx_enabled = (val & ~u->ier) & IER_TX;

    u->ier = val & 0xf;
    if (tx_enabled && !u->tx_busy)
        u->tx_pending = true; /* an empty THR interrupts when it is enabled */
}

static void uart_write(struct device *dev, uint64_t off, uint64_t val64, unsigned size)
{
    struct uart *u = (struct uart *)dev;
    bool dlab = u->lcr & LCR_DLAB;
    uint8_t val = (uint8_t)val64;

    switch (off) {
    case REG_DATA:
        if (dlab)
            u->divisor = (uint16_t)((u->divisor & 0xff00) | val);
        else
            transmit(u, val);
        break;
    case REG_IER:
        if (dlab)
            u->divisor = (uint16_t)((u->divisor & 0xff) | val << 8);
        else
            write_ier(u, val);
        break;
    case REG_IIR_FCR: write_fcr(u, val); break;
    case REG_LCR:
        if ((val & ~u->lcr & LCR_BREAK) && u->chr)
            chardev_send_break(u->chr);
        u->lcr = val;
        break;
    case REG_MCR:
        u->mcr = val & 0x1f;
        update_modem(u);
        if (u->chr && !(u->mcr & MCR_LOOP))
            chardev_accept_input(u->chr);
        break;
    case REG_LSR: /* factory test */
    case REG_MSR:
        guest_error(dev, "write of %#x to read-only register %u", val, (unsigned)off);
        break;
    case REG_SCRATCH: u->scratch = val; break;
    }
    update_irq(u);
}

/* --- life --- */

void uart_set_chardev(struct device *dev, struct chardev *chr)
{
    ((struct uart *)dev)->chr = chr;
}

static bool uart_init(struct device *dev, struct error *err)
{
    struct uart *u = (struct uart *)dev;

    timer_init(&u->timeout, dev->ctx.loop, CLOCK_VIRTUAL, timeout_expired, u);
    if (u->chr)
        chardev_attach(u->chr, &client, u);
    return true;
}

static void uart_finish(struct device *dev)
{
    struct uart *u = (struct uart *)dev;

    if (u->chr && dev->ready)
        chardev_attach(u->chr, NULL, NULL);
    timer_cancel(&u->timeout);
}

static void uart_reset(struct device *dev)
{
    struct uart *u = (struct uart *)dev;

    u->ier = u->fcr = u->lcr = u->mcr = u->scratch = u->errors = 0;
    u->tx_pending = false;
    u->tx_busy = u->chr && !chardev_can_write(u->chr);
    u->divisor = 12; /* undefined by the data sheet; 9600 baud, as firmware leaves it */
    u->msr = modem_inputs(u);
    memset(u->rx, 0, sizeof u->rx);
    clear_rx(u);
    update_irq(u);
}

static bool uart_loaded(struct device *dev, struct error *err)
{
    struct uart *u = (struct uart *)dev;
    bool timed_out = u->timed_out;

    restart_timeout(u);
    u->timed_out = timed_out && u->rx_count;
    u->tx_busy = u->chr && !chardev_can_write(u->chr);
    update_irq(u);
    return true;
}

static const struct device_window windows[] = {
    { "regs", WINDOW_PIO, 8, uart_read, uart_write, 1, 1 },
};

const struct device_type uart16550_type = {
    .name = "uart16550",
    .doc = "16550A serial port",
    .size = sizeof(struct uart),
    .state = FIELDS(
        FIELD(struct uart, ier, .max = 15), FIELD(struct uart, fcr), FIELD(struct uart, lcr),
        FIELD(struct uart, mcr, .max = 31), FIELD(struct uart, msr), FIELD(struct uart, scratch),
        FIELD(struct uart, errors), FIELD(struct uart, tx_pending), FIELD(struct uart, timed_out),
        FIELD(struct uart, divisor), FIELD_ARRAY(struct uart, rx),
        FIELD_ARRAY(struct uart, rx_errors), FIELD(struct uart, rx_head, .max = FIFO_SIZE - 1),
        FIELD(struct uart, rx_count, .max = FIFO_SIZE)),
    .init = uart_init,
    .finish = uart_finish,
    .reset = uart_reset,
    .loaded = uart_loaded,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
    .irqs = 1,
};
