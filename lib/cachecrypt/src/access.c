/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways in: copies, spans, pointers, faults. */
#include "cachecrypt_internal.h"

/** One page of a copy: brings it in, and says where its bytes are. */
static int at_page(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t offset,
                   uint32_t how, uint8_t **ret_at, uint32_t *ret_frame)
{
    const int r = gn_cachecrypt__get(cc, reg, offset >> reg->page_shift, how, ret_frame);

    if (!r)
        *ret_at = gn_cachecrypt__frame_at(cc, *ret_frame) + (offset & (reg->page_bytes - 1));
    return r;
}

/** How much of a copy lies in the page where it begins. */
static size_t part_of(const struct gn_cachecrypt__region *reg, uint64_t offset, size_t len)
{
    const uint64_t rest = reg->page_bytes - (offset & (reg->page_bytes - 1));

    return rest < len ? (size_t)rest : len;
}

/** Copies out, or in where `in` is given; a page at a time, so that others get in between. */
static int copy(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, uint8_t *out,
                const uint8_t *in, size_t len)
{
    struct gn_cachecrypt__region *reg;
    uint8_t *at = NULL;
    uint32_t f, how;
    size_t part;
    int r;

    do {
        r = gn_cachecrypt__enter(cc, region, &reg);
        if (r)
            return r;
        part = part_of(reg, offset, len);
        how = in && part == reg->page_bytes ? GET_OVERWRITE : GET_READ;
        if (!gn_cachecrypt__within(reg, offset, len))
            r = -GN_ERR_RANGE;
        else if (len)
            r = at_page(cc, reg, offset, how, &at, &f);
        if (!r && len && in) {
            *gn_cachecrypt__dirty(cc, f) = 1;
            memcpy(at, in, part);
            in += part;
        } else if (!r && len) {
            memcpy(out, at, part);
            out += part;
        }
        r = gn_cachecrypt__leave(cc, r);
        offset += part;
        len -= part;
    } while (!r && len);
    return r;
}

int gn_cachecrypt_read(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, void *to,
                       size_t len)
{
    if (!cc || (!to && len))
        return -GN_ERR_INVAL;
    return copy(cc, region, offset, to, NULL, len);
}

int gn_cachecrypt_write(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset,
                        const void *from, size_t len)
{
    if (!cc || (!from && len))
        return -GN_ERR_INVAL;
    return copy(cc, region, offset, NULL, from, len);
}

int gn_cachecrypt_touch(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, uint32_t access,
                        void **ret_at)
{
    struct gn_cachecrypt__region *reg;
    uint8_t *at;
    uint32_t f;
    int r;

    if (!cc || !ret_at || access > GN_ACCESS_WRITE)
        return -GN_ERR_INVAL;
    r = gn_cachecrypt__enter(cc, region, &reg);
    if (r)
        return r;
    r = gn_cachecrypt__within(reg, offset, 1) ? at_page(cc, reg, offset, GET_READ, &at, &f)
                                              : -GN_ERR_RANGE;
    if (!r) {
        if (access == GN_ACCESS_WRITE)
            *gn_cachecrypt__dirty(cc, f) = 1;
        *ret_at = at;
    }
    return gn_cachecrypt__leave(cc, r);
}

int gn_cachecrypt_view_get(struct gn_cachecrypt *cc, uint32_t region,
                           struct gn_cachecrypt_view *ret_view)
{
    struct gn_cachecrypt__region *reg;
    int r;

    if (!cc || !ret_view)
        return -GN_ERR_INVAL;
    r = gn_cachecrypt__enter(cc, region, &reg);
    if (r)
        return r;
    *ret_view = (struct gn_cachecrypt_view){
        .table = cc->view,
        .mask = cc->view_mask,
        .key = (uint64_t)region << 32,
        .frames = cc->frames,
        .flags = cc->flags,
        .page_shift = reg->page_shift,
        .frame_shift = cc->frame_shift,
        .fold = cc->view_fold,
        .salt = gn_cachecrypt_salt(region),
    };
    return gn_cachecrypt__leave(cc, 0);
}

static int pin(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t offset,
               uint64_t len, uint32_t access, struct gn_cachecrypt_span *span)
{
    struct gn_cachecrypt__frame *frame;
    uint8_t *at;
    uint32_t f;
    int r;

    if (!gn_cachecrypt__within(reg, offset, len))
        return -GN_ERR_RANGE;
    r = at_page(cc, reg, offset, GET_READ, &at, &f);
    if (r)
        return r;
    frame = &cc->table[f];
    if (frame->pins == UINT32_MAX)
        return -GN_ERR_BUSY;
    frame->pins++;
    if (access == GN_ACCESS_WRITE) {
        frame->write_pins++;
        *gn_cachecrypt__dirty(cc, f) = 1;
    }
    *span = (struct gn_cachecrypt_span){
        .at = at,
        .bytes = part_of(reg, offset, len < reg->page_bytes ? (size_t)len : reg->page_bytes),
        .region = gn_cachecrypt__number(cc, reg),
        .frame = f,
        .access = access,
    };
    return 0;
}

int gn_cachecrypt_pin(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, uint64_t len,
                      uint32_t access, struct gn_cachecrypt_span *ret_span)
{
    struct gn_cachecrypt__region *reg;
    int r;

    if (!cc || !ret_span || !len || access > GN_ACCESS_WRITE)
        return -GN_ERR_INVAL;
    r = gn_cachecrypt__enter(cc, region, &reg);
    if (r)
        return r;
    return gn_cachecrypt__leave(cc, pin(cc, reg, offset, len, access, ret_span));
}

static int unpin(struct gn_cachecrypt *cc, const struct gn_cachecrypt_span *span)
{
    const uint32_t writes = span->access == GN_ACCESS_WRITE;
    const uintptr_t at = (uintptr_t)span->at;
    struct gn_cachecrypt__frame *frame;
    uintptr_t base;

    if (span->frame >= cc->frame_count || span->access > GN_ACCESS_WRITE)
        return -GN_ERR_INVAL;
    frame = &cc->table[span->frame];
    base = (uintptr_t)gn_cachecrypt__frame_at(cc, span->frame);
    if (!frame->used || frame->key >> 32 != span->region || at - base >= cc->frame_bytes ||
        (writes ? !frame->write_pins : frame->pins == frame->write_pins))
        return -GN_ERR_INVAL;
    frame->pins--;
    frame->write_pins -= writes;
    if (frame->orphan && !frame->pins && !gn_cachecrypt__unmap(cc, span->frame))
        gn_cachecrypt__drop(cc, span->frame);
    return 0;
}

int gn_cachecrypt_unpin(struct gn_cachecrypt *cc, const struct gn_cachecrypt_span *span)
{
    if (!cc || !span)
        return -GN_ERR_INVAL;
    gn_cachecrypt__lock(cc);
    return gn_cachecrypt__leave(cc, unpin(cc, span));
}

static int fault(struct gn_cachecrypt *cc, struct gn_cachecrypt__region *reg, uint64_t offset,
                 uint32_t access, struct gn_cachecrypt_mapping *mapping)
{
    const uint64_t page = offset >> reg->page_shift;
    uint32_t f, rights;
    int r;

    if (!gn_cachecrypt__within(reg, offset, 1))
        return -GN_ERR_RANGE;
    r = gn_cachecrypt__get(cc, reg, page, GET_READ, &f);
    if (r)
        return r;
    /* A page that is dirty already may be written without another fault. */
    rights = access == GN_ACCESS_WRITE || *gn_cachecrypt__dirty(cc, f) ? GN_ACCESS_WRITE
                                                                       : GN_ACCESS_READ;
    if (cc->ops.map) {
        r = cc->ops.map(cc->ctx, gn_cachecrypt__number(cc, reg), page,
                        gn_cachecrypt__frame_at(cc, f), rights);
        if (r)
            return r;
    }
    cc->table[f].mapped = 1;
    if (rights == GN_ACCESS_WRITE)
        *gn_cachecrypt__dirty(cc, f) = 1;
    cc->stats.faults++;
    *mapping = (struct gn_cachecrypt_mapping){
        .frame = gn_cachecrypt__frame_at(cc, f), .page = page, .access = rights};
    return 0;
}

int gn_cachecrypt_fault(struct gn_cachecrypt *cc, uint32_t region, uint64_t offset, uint32_t access,
                        struct gn_cachecrypt_mapping *ret_mapping)
{
    struct gn_cachecrypt__region *reg;
    int r;

    if (!cc || !ret_mapping || access >= GN_ACCESS_KINDS)
        return -GN_ERR_INVAL;
    if (!cc->ops.unmap)
        return -GN_ERR_NOTSUP;
    r = gn_cachecrypt__enter(cc, region, &reg);
    if (r)
        return r;
    return gn_cachecrypt__leave(cc, fault(cc, reg, offset, access, ret_mapping));
}
