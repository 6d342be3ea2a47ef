/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDENTIFY (NVMe 1.4 5.15): what the controller and its namespace say about themselves. */
#include "base/endian.h"
#include "dev/storage/nvme_priv.h"

#include <stdio.h>
#include <string.h>

enum {
    CDW_NSID = 4,
    CDW10 = 40,
    CDW11 = 44,
    CNS_NAMESPACE = 0x00,
    CNS_CONTROLLER = 0x01,
    CNS_ACTIVE_LIST = 0x02,
    CNS_DESCRIPTORS = 0x03,
    CNS_NAMESPACE_CSI = 0x05,
    CNS_CONTROLLER_CSI = 0x06,
    CNS_ACTIVE_LIST_CSI = 0x07,
    CNS_ALLOCATED_LIST = 0x10,
    CNS_ALLOCATED = 0x11,
    CNS_COMMAND_SETS = 0x1c,
    CSI_NVM = 0,
};

static void put_text(uint8_t *to, size_t size, const char *text)
{
    size_t n = strnlen(text, size);
    memset(to, ' ', size);
    memcpy(to, text, n);
}

static void controller(const struct nvme *n, uint8_t *p)
{
    st_le16(p, ld_le16(n->pci.initial + PCI_VENDOR_ID));
    st_le16(p + 2, ld_le16(n->pci.initial + PCI_SUBSYSTEM_VENDOR));
    put_text(p + 4, 20, n->conf.serial);
    put_text(p + 24, 40, "QEMU NVMe Ctrl");
    put_text(p + 64, 8, "1.0");
    p[72] = 6; /* recommended burst of commands, log2 */
    memcpy(p + 73, (const uint8_t[]){ 0x00, 0x54, 0x52 }, 3); /* IEEE OUI 52:54:00 */
    p[77] = n->mdts;
    st_le32(p + 80, 0x00010400);
    p[111] = 1;               /* an I/O controller */
    st_le16(p + 256, 0x0102); /* FORMAT NVM, doorbell buffers */
    p[258] = 3;               /* ABORT commands at once, less 1 */
    p[259] = n->aerl;
    p[260] = 0x03;           /* one firmware slot, read only */
    p[261] = 0x06;           /* effects log, extended log pages */
    p[262] = 3;              /* error log entries, less 1 */
    st_le16(p + 266, 0x157); /* warning and critical temperature, K */
    st_le16(p + 268, 0x175);
    p[512] = 0x66; /* sizes of queue entries, log2 */
    p[513] = 0x44;
    st_le32(p + 516, 1); /* namespaces */
    /* COMPARE, DATASET MANAGEMENT, WRITE ZEROES, select field, timestamp, VERIFY */
    st_le16(p + 520, 0x00dd);
    p[525] = 0x07;          /* a write cache; FLUSH of all namespaces is taken */
    st_le32(p + 536, 0x01); /* SGLs without alignment */
    (void)snprintf((char *)p + 768, 256, "nqn.2019-08.org.qemu:%s", n->conf.serial);
    st_le16(p + 2048, 0x09c4); /* 25 W */
    st_le32(p + 2052, 16);     /* us to enter and leave the one power state */
    st_le32(p + 2056, 4);
}

static void name_space(const struct nvme *n, uint8_t *p)
{
    uint64_t blocks = nvme_blocks(n);
    unsigned shift = nvme_block_shift(n);
    uint32_t granularity = n->conf.discard_granularity;
    uint32_t unit = MAX(n->conf.physical_block_size >> shift, 1u);
    uint32_t discard = granularity == UINT32_MAX ? 8 : MAX(granularity >> shift, 1u);
    st_le64(p, blocks);
    st_le64(p + 8, blocks);
    st_le64(p + 16, blocks);
    p[24] = 0x10; /* preferred sizes are given */
    p[25] = NVME_LBA_FORMATS - 1;
    p[26] = n->lba_format;
    p[33] = 0x09; /* deallocated blocks read as zeroes; WRITE ZEROES may deallocate */
    st_le64(p + 48, blocks << shift);
    st_le64(p + 56, 0);
    st_le16(p + 64, (uint16_t)(unit - 1));
    st_le16(p + 66, (uint16_t)(unit - 1));
    st_le16(p + 68, (uint16_t)(discard - 1));
    st_le16(p + 70, (uint16_t)(discard - 1));
    st_le16(p + 72, n->conf.opt_io_size ? (uint16_t)((n->conf.opt_io_size >> shift) - 1) : 0);
    for (unsigned i = 0; i < NVME_LBA_FORMATS; i++)
        p[128 + 4 * i + 2] = i ? 12 : 9;
}

/* No name of its own: the guest makes one from the controller's serial number. */
static void descriptors(uint8_t *p)
{
    p[0] = 4; /* command set: NVM */
    p[1] = 1;
}

uint16_t nvme_identify(struct nvme_req *r)
{
    struct nvme *n = r->n;
    uint32_t nsid = ld_le32(r->cmd + CDW_NSID);
    unsigned cns = ld_le32(r->cmd + CDW10) & 0xff, csi = ld_le32(r->cmd + CDW11) >> 24;
    uint8_t p[NVME_PAGE] = { 0 };
    bool any = nsid == NVME_NSID || nsid == UINT32_MAX;
    if ((cns == CNS_NAMESPACE_CSI || cns == CNS_CONTROLLER_CSI || cns == CNS_ACTIVE_LIST_CSI) &&
        csi != CSI_NVM)
        return NVME_INVALID_FIELD | NVME_DNR;
    switch (cns) {
    case CNS_NAMESPACE:
    case CNS_ALLOCATED:
        if (!any)
            return NVME_INVALID_NAMESPACE | NVME_DNR;
        name_space(n, p);
        break;
    case CNS_CONTROLLER: controller(n, p); break;
    case CNS_ACTIVE_LIST:
    case CNS_ACTIVE_LIST_CSI:
    case CNS_ALLOCATED_LIST:
        if (nsid >= UINT32_MAX - 1)
            return NVME_INVALID_NAMESPACE | NVME_DNR;
        st_le32(p, nsid < NVME_NSID ? NVME_NSID : 0);
        break;
    case CNS_DESCRIPTORS:
        if (nsid != NVME_NSID)
            return NVME_INVALID_NAMESPACE | NVME_DNR;
        descriptors(p);
        break;
    case CNS_NAMESPACE_CSI:
        if (nsid != NVME_NSID)
            return NVME_INVALID_NAMESPACE | NVME_DNR;
        break;
    case CNS_CONTROLLER_CSI:
        p[0] = 7; /* VERIFY: 4096 << 7 bytes at most */
        break;
    case CNS_COMMAND_SETS: p[0] = 1; break;
    default: return NVME_INVALID_FIELD | NVME_DNR;
    }
    return nvme_give(r, p, sizeof p, sizeof p);
}
