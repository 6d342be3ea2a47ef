/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NBD protocol's numbers (doc/proto.md of the NBD project), for client and server. */
#ifndef DISK_NBD_PROTO_H
#define DISK_NBD_PROTO_H

#include <stdint.h>

#define NBD_MAGIC            UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPT_MAGIC        UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_OLDSTYLE_MAGIC   UINT64_C(0x0000420281861253)
#define NBD_REP_MAGIC        UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC    UINT32_C(0x25609513)
#define NBD_SIMPLE_MAGIC     UINT32_C(0x67446698)
#define NBD_STRUCTURED_MAGIC UINT32_C(0x668e33ef)

enum nbd_handshake_flags { NBD_FLAG_FIXED_NEWSTYLE = 1, NBD_FLAG_NO_ZEROES = 2 };

enum nbd_transmission_flags {
    NBD_FLAG_HAS_FLAGS = 1 << 0,
    NBD_FLAG_READ_ONLY = 1 << 1,
    NBD_FLAG_SEND_FLUSH = 1 << 2,
    NBD_FLAG_SEND_FUA = 1 << 3,
    NBD_FLAG_ROTATIONAL = 1 << 4,
    NBD_FLAG_SEND_TRIM = 1 << 5,
    NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
    NBD_FLAG_SEND_DF = 1 << 7,
    NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
    NBD_FLAG_SEND_RESIZE = 1 << 9,
    NBD_FLAG_SEND_CACHE = 1 << 10,
    NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
};

enum nbd_option {
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_STARTTLS = 5,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META_CONTEXT = 9,
    NBD_OPT_SET_META_CONTEXT = 10,
};

#define NBD_REP_ERR(n) (UINT32_C(1) << 31 | (n))
enum nbd_option_reply {
    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META_CONTEXT = 4,
    NBD_REP_ERR_UNSUP = (int)NBD_REP_ERR(1),
    NBD_REP_ERR_POLICY = (int)NBD_REP_ERR(2),
    NBD_REP_ERR_INVALID = (int)NBD_REP_ERR(3),
    NBD_REP_ERR_PLATFORM = (int)NBD_REP_ERR(4),
    NBD_REP_ERR_TLS_REQD = (int)NBD_REP_ERR(5),
    NBD_REP_ERR_UNKNOWN = (int)NBD_REP_ERR(6),
    NBD_REP_ERR_SHUTDOWN = (int)NBD_REP_ERR(7),
    NBD_REP_ERR_BLOCK_SIZE_REQD = (int)NBD_REP_ERR(8),
    NBD_REP_ERR_TOO_BIG = (int)NBD_REP_ERR(9),
};

enum nbd_info { NBD_INFO_EXPORT, NBD_INFO_NAME, NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE };

enum nbd_command {
    NBD_CMD_READ,
    NBD_CMD_WRITE,
    NBD_CMD_DISC,
    NBD_CMD_FLUSH,
    NBD_CMD_TRIM,
    NBD_CMD_CACHE,
    NBD_CMD_WRITE_ZEROES,
    NBD_CMD_BLOCK_STATUS,
    NBD_CMD_RESIZE,
};

enum nbd_command_flags {
    NBD_CMD_FLAG_FUA = 1 << 0,
    NBD_CMD_FLAG_NO_HOLE = 1 << 1,
    NBD_CMD_FLAG_DF = 1 << 2,
    NBD_CMD_FLAG_REQ_ONE = 1 << 3,
    NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
};

enum { NBD_REPLY_FLAG_DONE = 1 };
enum nbd_chunk {
    NBD_REPLY_NONE = 0,
    NBD_REPLY_OFFSET_DATA = 1,
    NBD_REPLY_OFFSET_HOLE = 2,
    NBD_REPLY_BLOCK_STATUS = 5,
    NBD_REPLY_ERROR = 1 << 15 | 1,
    NBD_REPLY_ERROR_OFFSET = 1 << 15 | 2,
};

enum nbd_errno {
    NBD_EPERM = 1,
    NBD_EIO = 5,
    NBD_ENOMEM = 12,
    NBD_EINVAL = 22,
    NBD_ENOSPC = 28,
    NBD_EOVERFLOW = 75,
    NBD_ENOTSUP = 95,
    NBD_ESHUTDOWN = 108,
};

enum { NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2, NBD_STATE_DIRTY = 1 }; /* base:allocation, bitmaps */

#define NBD_MAX_NAME     4096
#define NBD_MAX_PAYLOAD  (UINT32_C(32) << 20)
#define NBD_DEFAULT_PORT "10809"

#endif
