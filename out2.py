import re
def sub(p,*pairs):
    s=open(p).read()
    for a,b in pairs:
        assert s.count(a)>=1,(p,a)
        s=s.replace(a,b)
    open(p,'w').write(s)
F='tests/fuzz/'
sub(F+'fuzz.h',
('''#define SPACES       9u
''','''#define SPACES       10u
#define BARE         9u /**< the space without translation */
'''),
('''#define FRAMES_MAX   320u /**< of shadow tables: below RAM_HPA */
''','''#define TABLES_MAX   320u
#define FRAMES_MAX   336u /**< of shadow tables, and of roots that have one each: below RAM_HPA */
'''),
('''    int levels, x86; /**< of the guest's format */
    int shadow_levels, shadow_x86;
''','''    struct oracle guest; /**< the guest's format */
    int levels, bytes, x86, arm;
    int shadow_levels, shadow_x86;
    int wide; /**< the guest has more levels than the shadow */
'''),
('''    uint32_t frame_count;
''','''    uint32_t frame_count, frames_all;
'''),
('''/* generate.c */
uint64_t space_root(uint32_t space);
/** Where all guest memory is mapped, in an orderly space. */
uint64_t linear(const struct world *w, uint64_t gpa);
''','''/* generate.c */
/** The root table of a space, or its other one, of the upper half. */
uint64_t space_root(uint32_t space);
uint64_t space_root_high(uint32_t space);
/** Where all guest memory is mapped, in an orderly space. */
uint64_t linear(const struct world *w, uint64_t gpa);
/** The same, for a vCPU: without translation every address is its own. */
uint64_t linear_of(const struct world *w, uint32_t vcpu, uint64_t gpa);
/** Index in a table at a level. */
uint32_t index_at(const struct world *w, int level, uint64_t gva);
/** A guest wider than the shadow: the table of the lower half at the MMU's topmost level. */
uint64_t wide_table(const struct world *w);
'''),
('''void dirty_gone(struct world *w, uint32_t slot);
''','''void dirty_gone(struct world *w, uint32_t slot);
'''),
('''int world_no_room(const struct world *w);
''','''int world_no_room(const struct world *w);
/** Format of a space's tables, or BARE. */
uint32_t world_format(const struct world *w, uint32_t space);
'''))
# ---- config
sub(F+'config.c',
('''/* Formats that all of paging, shadow and the oracle know. */
static uint32_t format_any(struct dice *d, struct oracle *ret_oracle)
{
    for (;;) {
        uint32_t format = 1 + dice_below(d, 15);

        if (gn_paging_format_name(format) && oracle_init(ret_oracle, format, 0, 0) &&
            !ret_oracle->pae)
            return format;
    }
}

static void formats_make(struct config *c, struct dice *d, struct oracle *ret_guest)
{
    struct oracle shadow;

    do {
        c->format = format_any(d, &shadow);
        c->guest = format_any(d, ret_guest);
        if (dice_below(d, 3) == 0) {
            c->guest = c->format;
            *ret_guest = shadow;
        }
    } while (ret_guest->levels > shadow.levels);
}
''','''/* Every guest's format in every shadow's; in its own more often than else. */
static void formats_make(struct config *c, struct dice *d, struct oracle *ret_guest)
{
    static const uint32_t formats[] = {
        GN_PAGING_X86_4LEVEL, GN_PAGING_X86_5LEVEL, GN_PAGING_SV39,   GN_PAGING_SV48,
        GN_PAGING_SV57,       GN_PAGING_AARCH64_4K, GN_PAGING_X86_32, GN_PAGING_X86_PAE,
    };

    c->format = formats[dice_below(d, 5)];
    c->guest = dice_below(d, 3) ? formats[dice_below(d, 8)] : c->format;
    oracle_init(ret_guest, c->guest, 0, 0);
}
'''),
("FRAMES_FEW : FRAMES_MAX) - 16","FRAMES_FEW : TABLES_MAX) - 16"),
('''    printf("# %s in %s''','''    printf("# %s in %s'''))
# ---- generate
sub(F+'generate.c',
('''static uint32_t index_any(struct dice *d)
{
    static const uint32_t few[] = {0, 1, 2, 511};

    return dice_below(d, 64) ? few[dice_below(d, 4)] : dice_below(d, 512);
}

static uint64_t sign_extend(uint64_t gva, int levels)
{
    uint32_t sign = 64 - (12 + 9 * (uint32_t)levels);

    return (uint64_t)((int64_t)(gva << sign) >> sign);
}
''','''uint64_t space_root_high(uint32_t space)
{
    return space_root((space * 2 + 1) % BARE);
}

static uint32_t index_any(const struct world *w, struct dice *d)
{
    static const uint32_t few[] = {0, 1, 2, UINT32_MAX};
    uint32_t entries = 1u << w->guest.bits;

    return (dice_below(d, 64) ? few[dice_below(d, 4)] : dice_below(d, entries)) & (entries - 1);
}

uint32_t index_at(const struct world *w, int level, uint64_t gva)
{
    return (uint32_t)(oracle_at(&w->guest, level, 0, gva) / (uint32_t)w->bytes);
}

static uint64_t sign_extend(uint64_t gva, uint32_t bits)
{
    return (uint64_t)((int64_t)(gva << (64 - bits)) >> (64 - bits));
}

static uint32_t guest_bits(const struct world *w)
{
    if (w->bytes == 4 || w->guest.pae)
        return 32;
    return 12 + 9 * (uint32_t)w->levels + (uint32_t)w->arm;
}
'''),
('''    for (int level = 0; level < w->levels; level++)
        gva |= (uint64_t)index_any(d) << (12 + 9 * level);
    if (dice_below(d, 16))
        return sign_extend(gva, w->levels);
    /* An address of the shadow's width, which may not be the guest's. */
    for (int level = w->levels; level < w->shadow_levels; level++)
        gva |= (uint64_t)index_any(d) << (12 + 9 * level);
    return sign_extend(gva, w->shadow_levels);
}

uint64_t linear(const struct world *w, uint64_t gpa)
{
    return ((uint64_t)LINEAR << (12 + 9 * (w->levels - 1))) + gpa;
}
''','''    for (int level = 0; level < w->levels; level++)
        gva |= (uint64_t)index_any(w, d) << oracle_shift(&w->guest, level);
    gva |= w->arm ? (uint64_t)dice_below(d, 2) << 48 : 0;
    /* What the MMU can be asked for, mostly. */
    if ((w->wide || w->arm) && dice_below(d, 4))
        return sign_extend(gva, 12 + 9 * (uint32_t)w->shadow_levels);
    if (guest_bits(w) == 32 && dice_below(d, 16))
        return gva & UINT32_MAX;
    if (dice_below(d, 16))
        return sign_extend(gva, guest_bits(w));
    /* An address of the shadow's width, which may not be the guest's. */
    for (int level = w->levels; level < w->shadow_levels; level++)
        gva |= (uint64_t)index_any(w, d) << (12 + 9 * level);
    return sign_extend(gva, 12 + 9 * (uint32_t)w->shadow_levels);
}

uint64_t linear(const struct world *w, uint64_t gpa)
{
    if (w->wide)
        return ((uint64_t)1 << (12 + 9 * w->shadow_levels - 2)) + gpa;
    return ((uint64_t)LINEAR << oracle_shift(&w->guest, w->levels - 1)) + gpa;
}

uint64_t linear_of(const struct world *w, uint32_t vcpu, uint64_t gpa)
{
    return w->vcpu[vcpu].space == BARE ? gpa : linear(w, gpa);
}

uint64_t wide_table(const struct world *w)
{
    return (1 + ROOT_PAGES + (uint32_t)(w->levels - w->shadow_levels - 1)) * GN_PAGE_SIZE;
}
'''),
('''    bits |= dice_below(d, 6) ? 0 : UINT64_C(1) << 63;
    return bits;
}
''','''    bits |= dice_below(d, 6) ? 0 : UINT64_C(1) << 63;
    return bits;
}

/* Entries of 4 bytes have no XD, and PDPTEs nothing but P. */
static uint64_t bits_x86_short(const struct world *w, struct dice *d, int leaf, uint32_t level)
{
    if (w->guest.pae && level == 2)
        return dice_below(d, 16) ? 1 : 3;
    return bits_x86(d, leaf, level) & (w->bytes == 4 ? UINT32_MAX : UINT64_MAX);
}

/* Arm DDI 0487 D8.3. */
static uint64_t bits_arm(struct dice *d, int leaf, uint32_t level)
{
    uint64_t bits = 1 | (leaf && level ? 0 : 2);

    if (!leaf) /* APTable, PXNTable, UXNTable */
        return bits | (dice_below(d, 4) ? 0 : (uint64_t)dice_below(d, 16) << 59);
    bits |= dice_below(d, 2) ? 1 << 6 : 0;
    bits |= dice_below(d, 3) ? 0 : 1 << 7;
    bits |= dice_below(d, 6) ? 1 << 10 : 0;
    bits |= dice_below(d, 8) ? 1 << 11 : 0;
    bits |= (uint64_t)dice_below(d, 2) << 51;
    bits |= dice_below(d, 3) ? 0 : (uint64_t)dice_below(d, 4) << 53;
    bits |= (uint64_t)dice_below(d, 32) << 2 & 0x1c; /* which memory it is, is no matter */
    return bits;
}
'''),
('''    if (page >= FAR_TABLES)
        return''','''    if (w->wide && page >> GN_PAGE_SHIFT == wide_table(w) >> GN_PAGE_SHIFT)
        return (uint32_t)w->shadow_levels - 1;
    if (page >= FAR_TABLES)
        return'''),
('''        address = address >> (12 + 9 * level) << (12 + 9 * level);
    if (w->x86)
        return address | bits_x86(d, leaf, level);
    return''','''        address = address >> oracle_shift(&w->guest, (int)level)
                                 << oracle_shift(&w->guest, (int)level);
    if (w->x86)
        return address | bits_x86_short(w, d, leaf, level);
    if (w->arm)
        return address | bits_arm(d, leaf, level);
    return'''),
('''    uint32_t index = dice_below(d, 8) ? index_any(d) : dice_below(d, 512);

    (void)w;
    if (dice_below(d, 6))
        return pool_page(w, d, dice_below(d, (uint32_t)w->levels - 1)) + 8 * index;
    return space_root(dice_below(d, ROOT_PAGES)) + 8 * index;
}
''','''    uint32_t bytes = (uint32_t)w->bytes;
    uint32_t index = dice_below(d, 8) ? index_any(w, d) : dice_below(d, GN_PAGE_SIZE / bytes);

    if (dice_below(d, 6))
        return pool_page(w, d, dice_below(d, (uint32_t)w->levels - 1)) + bytes * index;
    if (w->wide && dice_below(d, 2))
        return wide_table(w) + bytes * (index & 3);
    if (w->guest.pae)
        index &= 3;
    return space_root(dice_below(d, ROOT_PAGES)) + bytes * index;
}
'''),
('''    int level = r.level;

    if (r.kind == ORACLE_NONCANONICAL)
        return edit_place(w, d);
''','''    int level = r.level;

    /* No entry was passed at an address that is none. */
    if (!r.at[level])
        return edit_place(w, d);
'''),
('''    if (dice_below(d, 12) == 0)
        op->x = linear(w, page_any(d));
    if (w->x86''','''    if (dice_below(d, 12) == 0)
        op->x = linear_of(w, op->vcpu, page_any(d));
    if (w->x86'''),
('''    op->a = 8;
    op->y = entry_any(w, d, place);
    op->z = entry_any(w, d, place);
''','''    op->a = (uint32_t)w->bytes;
    op->y = entry_any(w, d, place);
    op->z = entry_any(w, d, place);
    if (w->bytes == 4) {
        op->y |= entry_any(w, d, place) << 32;
        op->z |= entry_any(w, d, place) << 32;
    }
'''),
('''    op->a = 8;
    op->x = linear(w, b.at[level]);''','''    op->a = (uint32_t)w->bytes;
    op->x = linear_of(w, op->vcpu, b.at[level]);'''),
('''    if (a.kind != ORACLE_OK || a.level > level || b.kind == ORACLE_NONCANONICAL ||
        b.level > level ||''','''    if (a.kind != ORACLE_OK || a.level > level || b.level > level || !b.at[level] ||'''),
('''        place = page_any(d) % GUEST_BYTES + 8 * (uint64_t)dice_below(d, 512);''','''        place = page_any(d) % GUEST_BYTES + 8 * (uint64_t)dice_below(d, 512);'''),
('''        op->x = linear(w, op->x);
    }''','''        op->x = linear_of(w, op->vcpu, op->x);
    }'''),
('''    uint64_t bits = w->x86 ? 0x27 : 1;
    uint64_t target''','''    uint64_t bits = w->x86 ? 0x27 : w->arm ? 3 : 1;
    uint32_t bytes = (uint32_t)w->bytes;
    uint64_t target'''),
('''    op->x = table + 8 * index_any(d);
    op->a = dice_below(d, 4) ?''','''    op->x = table + bytes * index_any(w, d);
    op->a = dice_below(d, 4) ?'''),
('''        op->x = target + 8 * (4 + dice_below(d, 508));
''','''        op->x = target + bytes * (4 + dice_below(d, GN_PAGE_SIZE / bytes - 4));
'''),
('''        bits = w->x86 ? dice_below(d, 2) ? 0x67 : 0x7 : dice_below(d, 2) ? 0xdf : 0x5f;
        op->z = dice_below(d, 2) ? 0 : w->x86 ? GN_PAGE_SIZE : GN_PAGE_SIZE >> 2;
''','''        bits = dice_below(d, 2) ? 0x67 : 0x7;
        if (!w->x86)
            bits = w->arm ? bits_arm(d, 1, 0) : dice_below(d, 2) ? 0xdf : 0x5f;
        op->z = dice_below(d, 2) ? 0 : w->guest.family == 'r' ? GN_PAGE_SIZE >> 2 : GN_PAGE_SIZE;
'''),
('''    op->y = (w->x86 ? target : target >> 2) | bits;
''','''    op->y = (w->guest.family == 'r' ? target >> 2 : target) | bits;
'''),
('''static void generate_rare(const struct world *w, struct dice *d, struct op *op)
{
    static const uint32_t kinds[] = {GN_SHADOW_SLOT_RAM, GN_SHADOW_SLOT_RAM, GN_SHADOW_SLOT_ROM,
                                     GN_SHADOW_SLOT_MMIO, NO_SLOT};
    static const uint32_t x86[] = {GN_PAGING_X86_WP,   GN_PAGING_X86_NXE, GN_PAGING_X86_SMEP,
                                   GN_PAGING_X86_SMAP, GN_PAGING_X86_AC,  GN_PAGING_X86_AC,
                                   GN_PAGING_X86_1G};
    static const uint32_t riscv[] = {GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR, GN_PAGING_RISCV_SUM,
                                     GN_PAGING_RISCV_MXR, GN_PAGING_RISCV_ADUE};

''','''/* A bit of the controls that the guest changes. */
static uint32_t control_any(const struct world *w, struct dice *d)
{
    static const uint32_t x86[] = {GN_PAGING_X86_WP,   GN_PAGING_X86_NXE, GN_PAGING_X86_SMEP,
                                   GN_PAGING_X86_SMAP, GN_PAGING_X86_AC,  GN_PAGING_X86_AC,
                                   GN_PAGING_X86_1G};
    static const uint32_t riscv[] = {GN_PAGING_RISCV_SUM, GN_PAGING_RISCV_MXR, GN_PAGING_RISCV_SUM,
                                     GN_PAGING_RISCV_MXR, GN_PAGING_RISCV_ADUE};
    static const uint32_t arm[] = {GN_PAGING_AARCH64_PAN,  GN_PAGING_AARCH64_PAN,
                                   GN_PAGING_AARCH64_HD,   GN_PAGING_AARCH64_HA,
                                   GN_PAGING_AARCH64_WXN,  GN_PAGING_AARCH64_EPAN,
                                   GN_PAGING_AARCH64_EPD1, GN_PAGING_AARCH64_TBI0};

    if (w->bytes == 4 && dice_below(d, 4) == 0)
        return GN_PAGING_X86_PSE;
    if (w->arm)
        return arm[dice_below(d, 8)];
    return w->x86 ? x86[dice_below(d, 7)] : riscv[dice_below(d, 5)];
}

static void generate_rare(const struct world *w, struct dice *d, struct op *op)
{
    static const uint32_t kinds[] = {GN_SHADOW_SLOT_RAM, GN_SHADOW_SLOT_RAM, GN_SHADOW_SLOT_ROM,
                                     GN_SHADOW_SLOT_MMIO, NO_SLOT};

'''),
('''        op->a = w->x86 ? x86[dice_below(d, 7)] : riscv[dice_below(d, 5)];
        break;''','''        op->a = control_any(w, d);
        break;'''),
('''        op->b = w->x86 ? x86[dice_below(d, 7)] : riscv[dice_below(d, 5)];
        break;''','''        op->b = control_any(w, d);
        break;'''),
)
# ---- operate
sub(F+'operate.c',
('''    uint64_t table = space_root(0) + LINEAR * 8;
    uint64_t below = (1 + ROOT_PAGES) * GN_PAGE_SIZE;

    for (int level = w->levels - 1; level > 1; level--, below += GN_PAGE_SIZE) {
        *memory_word(w, table) = w->x86 ? below | 0x23 : below >> 2 | 1;
        table = below;
    }
    for (uint32_t i = 1; i <= ORDERLY; i++)
        *memory_word(w, space_root(i) + LINEAR * 8) = *memory_word(w, space_root(0) + LINEAR * 8);
    for (uint64_t gpa = 0; gpa < GUEST_BYTES; gpa += UINT64_C(1) << 21, table += 8)
        *memory_word(w, table) = w->x86 ? gpa | 0xe3 : gpa >> 2 | 0xcf;
}
''','''    const struct oracle *o = &w->guest;
    uint64_t table = space_root(0);
    uint64_t below = (1 + ROOT_PAGES) * GN_PAGE_SIZE;
    uint64_t gva = linear(w, 0);

    for (int level = w->levels - 1; level > 1; level--, below += GN_PAGE_SIZE) {
        uint64_t bits = w->arm ? 3 : !w->x86 || (o->pae && level == 2) ? 1 : 0x23;

        *memory_word(w, oracle_at(o, level, table, gva)) = (w->guest.family == 'r' ? below >> 2 : below) | bits;
        table = below;
    }
    for (uint64_t gpa = 0; gpa < GUEST_BYTES; gpa += UINT64_C(1) << oracle_shift(o, 1)) {
        /* AArch64: EL1's, by nobody run. */
        uint64_t leaf = w->arm ? gpa | UINT64_C(0x60000000000401) : w->x86 ? gpa | 0xe3 : gpa >> 2 | 0xcf;
        uint64_t at = oracle_at(o, 1, table, gva + gpa);

        memcpy((uint8_t *)memory_word(w, at) + (at & 4), &leaf, (size_t)w->bytes);
    }
    /* The roots have it in common: one entry, or two of 32-bit x86. */
    gva = oracle_at(o, w->levels - 1, 0, gva) & ~(uint64_t)7;
    for (uint32_t i = 1; i <= ORDERLY; i++)
        for (uint32_t next = 0; next < (w->bytes == 4 ? 2 : 1); next++)
            *memory_word(w, space_root(i) + gva + 8 * next) =
                *memory_word(w, space_root(0) + gva + 8 * next);
}
'''),
('''        if (!memory_protected(w, place, 8))
            *memory_word(w, place) = entry_any(w, d, place);
''','''        uint64_t entry = entry_any(w, d, place);

        if (!memory_protected(w, place, 8))
            memcpy((uint8_t *)memory_word(w, place) + (place & 7), &entry, (size_t)w->bytes);
'''),
('''    c.controls = gn_shadow_mmu_controls(w->shadow, w->c.guest, v->controls,
''','''    c.controls = gn_shadow_mmu_controls(w->shadow, world_format(w, v->space), v->controls,
'''),
('''    uint64_t run[RUN_MAX];
    uint32_t count = 1 + op->a % RUN_MAX;
    uint64_t gpa = op->x % (GUEST_BYTES - RUN_MAX * 8);

    for (uint32_t i = 0; i < count; i++)
        run[i] = op->y + i * op->z;
    if (op->b) {
        device_store(w, gpa, run, count * 8, op->b == 2);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t gva = linear(w, gpa + i * 8);

        if (!store_within(w, &w->vcpu[op->vcpu], gva, GN_ACCESS_WRITE, (void *)&run[i], 8))
            break;
    }
''','''    uint8_t run[RUN_MAX * 8];
    uint32_t bytes = (uint32_t)w->bytes;
    uint32_t count = 1 + op->a % RUN_MAX;
    uint64_t gpa = op->x % (GUEST_BYTES - RUN_MAX * 8);

    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = op->y + i * op->z;

        memcpy(run + i * bytes, &value, bytes);
    }
    if (op->b) {
        device_store(w, gpa, run, count * bytes, op->b == 2);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t gva = linear_of(w, op->vcpu, gpa + i * bytes);

        if (!store_within(w, &w->vcpu[op->vcpu], gva, GN_ACCESS_WRITE, run + i * bytes, bytes))
            break;
    }
'''),
)
# ---- memory
sub(F+'memory.c',
('''    uint64_t first = (1 + ROOT_PAGES) * GN_PAGE_SIZE;

    (void)w;
    if (gpa < POOL_FIRST * GN_PAGE_SIZE && gpa + length > first)
        return 1;
    for (uint32_t i = 0; i <= ORDERLY; i++) {
        uint64_t entry = space_root(i) + LINEAR * 8;

        if (gpa < entry + 8 && entry < gpa + length)
            return 1;
    }
    return 0;
}
''','''    uint64_t first = (1 + ROOT_PAGES) * GN_PAGE_SIZE;
    uint64_t at = oracle_at(&w->guest, w->levels - 1, 0, linear(w, 0)) & ~(uint64_t)7;
    uint64_t kept = w->bytes == 4 ? 16 : 8;

    for (uint32_t i = 0; i <= ORDERLY; i++)
        if (gpa < space_root(i) + at + kept && space_root(i) + at < gpa + length)
            return 1;
    if (gpa >= POOL_FIRST * GN_PAGE_SIZE || gpa + length <= first)
        return 0;
    /* One of these tables has room beside the map. */
    return !w->wide || gpa < wide_table(w) || gpa + length > wide_table(w) + 32;
}
'''),
('''    if (bytes != 8 || gpa.v & 7)
        fail("paging: a load of %u bytes at %#llx", bytes, (unsigned long long)gpa.v);
    return memory_load(ctx, gpa.v, ret_value) ? 0 : -GN_ERR_FAULT;
''','''    const struct world *w = ctx;

    if (bytes != (uint32_t)w->bytes || gpa.v & (bytes - 1))
        fail("paging: a load of %u bytes at %#llx", bytes, (unsigned long long)gpa.v);
    if (!memory_load(ctx, gpa.v, ret_value))
        return -GN_ERR_FAULT;
    *ret_value = oracle_entry(&w->guest, gpa.v, *ret_value);
    return 0;
'''),
('''    if (bytes != 8 || gpa.v & 7)
        fail("paging: an update''','''    if (bytes != (uint32_t)w->bytes || gpa.v & (bytes - 1))
        fail("paging: an update'''),
('''    if (*memory_word(w, gpa.v) != expected)
''','''    if (oracle_entry(&w->guest, gpa.v, *memory_word(w, gpa.v)) != expected)
'''),
('''    memory_store(w, gpa.v, &desired, 8);
    dirty_mark(w, gpa.v, 8, DIRTY_MUST);
''','''    memory_store(w, gpa.v, &desired, bytes);
    dirty_mark(w, gpa.v, bytes, DIRTY_MUST);
'''),
)
# ---- model
sub(F+'model.c',
('''        s->o.family == 'x' ? s->since[0] : later(v->flushed_all, v->flushed_space[v->space]);
    s->globals[1] = s->o.family == 'x' ? global : v->flushed_all;
''','''        s->o.family == 'r' ? later(v->flushed_all, v->flushed_space[v->space]) : s->since[0];
    s->globals[1] = s->o.family == 'r' ? v->flushed_all : global;
'''),
(''' * INVPCID leaves globals unless it is of type 2.
 */''',''' * INVPCID leaves globals unless it is of type 2. AArch64's TLBI VAE1 and VAAE1 do as INVLPG does
 * (Arm DDI 0487 D8.13), ASIDE1 leaves globals.
 */'''),
(''' * What no entry of the shadow's can allow alone, so that the embedder is asked to perform it: an
 * x86 entry cannot forbid to read, and none lets supervisors alone, with AC, write past R/W = 0.
 */
static int beyond_entries(const struct search *s, const struct oracle_path *path, uint64_t leaf)
{
''',''' * AArch64: a page is one exception level's to read; where it is the other's to run, an x86 entry
 * cannot say that he may not read it. And with EPAN, EL1 is denied what EL0 may run: by PAN, which
 * changes without a word.
 */
static int beyond_arm(const struct search *s, const struct oracle_path *path, uint64_t leaf)
{
    int user = oracle_bit(leaf, 6) && path->u;
    int user_runs = !oracle_bit(leaf, 54) && path->ux;

    if (!user && user_runs && s->o.epan)
        return s->o.op != 'x' || s->w->shadow_x86;
    return s->w->shadow_x86 && s->o.op == 'x' && s->o.user != user;
}

/*
 * What no entry of the shadow's can allow alone, so that the embedder is asked to perform it: an
 * x86 entry cannot forbid to read, and none lets supervisors alone, with AC, write past R/W = 0.
 * None at all is for an address that the MMU cannot be asked for.
 */
static int beyond_entries(const struct search *s, const struct oracle_path *path, uint64_t leaf)
{
    if (!path)
        return 0;
    if (s->o.family == 'a')
        return beyond_arm(s, path, leaf);
'''),
('''    if (slot->kind == GN_SHADOW_SLOT_ROM && s->o.op == 'w')
        return r->outcome == GN_SHADOW_ROM_WRITE;
''','''    if (slot->kind == GN_SHADOW_SLOT_ROM && s->o.op == 'w')
        return r->outcome == GN_SHADOW_ROM_WRITE;
    if (path && !in_width(s->w, s->gva))
        return r->outcome == GN_SHADOW_EMULATE;
'''),
('''static int leads_to(''','''/* Can the MMU be asked for it? */
static int in_width(const struct world *w, uint64_t gva)
{
    uint32_t sign = 64 - (12 + 9 * (uint32_t)w->shadow_levels);

    return (uint64_t)((int64_t)(gva << sign) >> sign) == gva;
}

/* `path` is NULL without translation. */
static int leads_to('''),
('''        if (!rom && oracle_passed(&s->o, value) != value)''','''        if (!rom && oracle_passed(&s->o, level, value) != value)'''),
('''oracle_code(&s->o, step));
    if (!oracle_judge(&s->o, &path, value, &code, &wanted))''','''oracle_code(&s->o, step, level));
    if (!oracle_judge(&s->o, &path, level, value, &code, &wanted))'''),
('''           leads_to(s, &path, value, oracle_address(level, base, s->gva));''','''           leads_to(s, &path, value, oracle_address(&s->o, level, base, s->gva));'''),
('''    uint64_t at = base + (s->gva >> (12 + 9 * level) & 511) * 8;
''','''    uint64_t at = oracle_at(&s->o, level, base, s->gva);
'''),
('''        return faults(s, GN_PAGING_FAULT_ACCESS, oracle_access_code(&s->o));
    if (search_value(s, level, value, 0, rom, 0, path))
        return 1;
    for (uint32_t i = s->w->history[at / 8]; i; i = s->w->version[i].next)
        if (search_value(s, level, s->w->version[i].value, 1, rom, s->w->version[i].to, path))
            return 1;
    return 0;''','''        return faults(s, GN_PAGING_FAULT_ACCESS, oracle_access_code(&s->o, level));
    if (search_value(s, level, oracle_entry(&s->o, at, value), 0, rom, 0, path))
        return 1;
    for (uint32_t i = s->w->history[at / 8]; i; i = s->w->version[i].next)
        if (search_value(s, level, oracle_entry(&s->o, at, s->w->version[i].value), 1, rom,
                         s->w->version[i].to, path))
            return 1;
    return 0;'''),
('''    struct search s = {.w = w, .gva = gva, .result = result};
    struct oracle_path path = {1, 1, 1, 0};

    oracle_init''','''    struct search s = {.w = w, .gva = gva, .result = result};

    oracle_init'''),
('''    if (!oracle_canonical(&s.o, gva))
        return s.o.family == 'x' ? faults(&s, GN_PAGING_FAULT_NONCANONICAL, 0)
                                 : faults(&s, GN_PAGING_FAULT_PAGE, oracle_code(&s.o, 0));
    search_since(&s, v);
    return search_level(&s, s.o.levels - 1, space_root(v->space), path);
}
''','''    if (v->space == BARE)
        return leads_to(&s, NULL, 0, gva);
    if (!oracle_canonical(&s.o, gva))
        return s.o.family == 'x' ? faults(&s, GN_PAGING_FAULT_NONCANONICAL, 0)
                                 : faults(&s, GN_PAGING_FAULT_PAGE,
                                          oracle_code(&s.o, ORACLE_ABSENT, s.o.levels - 1));
    search_since(&s, v);
    return search_level(&s, s.o.levels - 1,
                        oracle_half(&s.o, gva) ? space_root_high(v->space) : space_root(v->space),
                        ORACLE_PATH);
}
'''),
('''    struct oracle o;

    oracle_init(&o, w->c.guest, v->controls, access);
    return oracle_walk(&o, space_root(v->space), gva, memory_load, w);
}
''','''    struct oracle o;

    if (v->space == BARE)
        return (struct oracle_result){.kind = ORACLE_OK, .pa = gva};
    oracle_init(&o, w->c.guest, v->controls, access);
    return oracle_walk(&o, (uint64_t[]){space_root(v->space), space_root_high(v->space)}, gva,
                       memory_load, w);
}
'''),
('''static int cached_serves(const struct world *w, const struct gn_softmmu_cached *e,
                         uint32_t controls, uint32_t access)
{
    uint32_t c = gn_shadow_mmu_controls(w->shadow, w->c.guest, controls, access);
''','''static int cached_serves(const struct world *w, const struct gn_softmmu_cached *e, uint32_t space,
                         uint32_t controls, uint32_t access)
{
    uint32_t c = gn_shadow_mmu_controls(w->shadow, world_format(w, space), controls, access);
'''),
('''    static const uint32_t how[]''','''    static const uint32_t arm[] = {0, GN_PAGING_AARCH64_PAN};
    static const uint32_t how[]'''),
('''        uint32_t controls = w->vcpu[vcpu].controls ^ (w->x86 ? x86[i / 4 % 2] : riscv[i / 4]);
''','''        uint32_t changed = w->x86 ? x86[i / 4 % 2] : w->arm ? arm[i / 4 % 2] : riscv[i / 4];
        uint32_t controls = w->vcpu[vcpu].controls ^ changed;
'''),
('''        if (cached_serves(w, c, controls, access) &&''','''        if (cached_serves(w, c, w->vcpu[vcpu].space, controls, access) &&'''),
)
# ---- coherence
sub(F+'coherence.c',
("globals = w->x86 || space == SPACES;","globals = w->x86 || w->arm || space == SPACES;"),
)
# ---- world
sub(F+'world.c',
('''    return w->c.tables - w->frame_count < roots_held(w) + (uint32_t)w->shadow_levels;
}
''','''    int levels = w->levels + w->arm > w->shadow_levels ? w->levels + w->arm : w->shadow_levels;

    return w->frames_all - w->frame_count < 2 * roots_held(w) + (uint32_t)levels;
}

uint32_t world_format(const struct world *w, uint32_t space)
{
    return space == BARE ? GN_PAGING_BARE : w->c.guest;
}
'''),
('''    const struct gn_shadow_root_key key = {GN_SHADOW_ROOT_KEY_INIT, .format = w->c.guest,
                                           .table = gn_gpa(space_root(space)), .controls = controls,
                                           .tag = space};
''','''    const struct gn_shadow_root_key key = {
        GN_SHADOW_ROOT_KEY_INIT,
        .format = world_format(w, space),
        .table = gn_gpa(space == BARE ? 0 : space_root(space)),
        .table_high = gn_gpa(space_root_high(space)),
        .controls = controls,
        .tag = space};
'''),
('''    if (w->np, 0''','') if False else ('''    if (a.kind == GN_NONPRESENT_UNKNOWN)
        return 0;
''','''    if (a.kind == GN_NONPRESENT_UNKNOWN)
        return 0;
    if (a.kind == GN_NONPRESENT_GUEST_ABSENT && w->arm)
        a.code = arm_code(w, entry, access);
'''),
('''static int on_absent(''','''/* nonpresent knows no codes of AArch64, but the level: a translation fault, with WnR. */
static uint32_t arm_code(const struct world *w, uint64_t entry, uint32_t access)
{
    struct gn_nonpresent_marker m;

    if (gn_nonpresent_decode(w->shadow_x86 ? GN_NONPRESENT_X86_64(46) : GN_NONPRESENT_RISCV, entry,
                             &m))
        fail("nonpresent: a marker does not decode");
    return (7 - m.level) | ((access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE ? 0x40 : 0);
}

static int on_absent('''),
('''    if (w->x86 && who->controls & (GN_PAGING_X86_NXE | GN_PAGING_X86_SMEP))
''','''    if (w->x86 && who->controls & ((w->bytes == 8 ? GN_PAGING_X86_NXE : 0) | GN_PAGING_X86_SMEP))
'''),
('''    oracle_init(&o, w->c.guest, 0, 0);
    w->levels = o.levels;
    w->x86 = o.family == 'x';
}
''','''    oracle_init(&w->guest, w->c.guest, 0, 0);
    w->levels = w->guest.levels;
    w->bytes = w->guest.bytes;
    w->x86 = w->guest.family == 'x';
    w->arm = w->guest.family == 'a';
    w->wide = w->levels > w->shadow_levels;
    w->frames_all = w->c.tables + (w->levels + w->arm > w->shadow_levels ? w->c.roots : 0);
}

/* What the guest has in force when it begins. */
static uint32_t controls_first(const struct world *w)
{
    if (w->arm)
        return GN_PAGING_AARCH64_HA | GN_PAGING_AARCH64_HD;
    return w->x86 ? GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_1G | GN_PAGING_X86_PSE
                  : GN_PAGING_RISCV_ADUE;
}
'''),
('''    for (uint32_t i = w->c.tables; i-- > 0;)
''','''    for (uint32_t i = w->frames_all; i-- > 0;)
'''),
('''        while (!world_switch(w, i, i,
                             w->x86 ? GN_PAGING_X86_WP | GN_PAGING_X86_NXE | GN_PAGING_X86_1G
                                    : GN_PAGING_RISCV_ADUE))
            ;
''','''        while (!world_switch(w, i, i, controls_first(w)))
            ;
'''),
('''    if (w->frame_count != w->c.tables)
''','''    if (w->frame_count != w->frames_all)
'''),
)
sub(F+'meson.build',("    '../access/oracle.c',\n","    '../access/oracle.c',\n    '../access/oracle_arm.c',\n"))
