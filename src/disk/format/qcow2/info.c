/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What info prints about a qcow2 image, key by key as QEMU names them, in its order. */
#include "disk/format/qcow2/qcow2.h"
#include "disk/luks.h"

static json_t *encrypt_info(const struct qcow2 *q)
{
    json_t *o = q->crypt ? luks_info(q->crypt) : NULL;

    if (!o)
        o = json_object();
    (void)json_object_set_new(o, "format", json_string(q->h.crypt_method == 2 ? "luks" : "aes"));
    return o;
}

json_t *qcow2_info(struct disk *d)
{
    const struct qcow2 *q = d->priv;
    const struct qcow2_header *h = &q->h;
    json_t *o = json_object();

    (void)json_object_set_new(o, "compat", json_string(h->version < 3 ? "0.10" : "1.1"));
    (void)json_object_set_new(o, "compression-type", json_string(h->compression ? "zstd" : "zlib"));
    if (h->version >= 3) {
        (void)json_object_set_new(o, "lazy-refcounts",
                                  json_boolean(h->compatible & COMPAT_LAZY_REFCOUNTS));
        json_t *bitmaps = qcow2_bitmaps_info(d);

        if (bitmaps)
            (void)json_object_set_new(o, "bitmaps", bitmaps);
    }
    (void)json_object_set_new(o, "refcount-bits", json_integer(q->refcount_bits));
    if (h->crypt_method)
        (void)json_object_set_new(o, "encrypt", encrypt_info(q));
    if (qcow2_has_data_file(q)) {
        if (q->data_file_name)
            (void)json_object_set_new(o, "data-file", json_string(q->data_file_name));
        (void)json_object_set_new(o, "data-file-raw", json_boolean(q->data_file_raw));
    }
    if (h->version >= 3) {
        (void)json_object_set_new(o, "corrupt", json_boolean(h->incompatible & INCOMPAT_CORRUPT));
        (void)json_object_set_new(o, "extended-l2", json_boolean(q->extended_l2));
    }
    return o;
}
