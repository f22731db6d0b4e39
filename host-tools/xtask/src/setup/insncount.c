/* A plugin for QEMU that counts instructions: of the whole run, and between marks in the program.
 *
 * Marks are instructions that do nothing: region r (0 to 7) begins at `dbg #r` and ends at `dbg #(8 + r)` on Cortex-M,
 * `hint #(96 + r)` and `hint #(104 + r)` on aarch64. Prints "total N" and, a region: "region R runs N insns N last N", and
 * " each N N …" where one core ran them.
 *
 * The plugin interface is declared here, because distributions don't package its header. API is the version that the
 * QEMU expects: 1 up to 8.1, 4 from 9.1 on. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct block;
struct insn;
struct info { const char *target; }; /* the leading field of qemu_info_t */

__attribute__((visibility("default"))) int qemu_plugin_version = API;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct block *);
struct insn *qemu_plugin_tb_get_insn(const struct block *, size_t);
size_t qemu_plugin_insn_size(const struct insn *);
#if API >= 3
size_t qemu_plugin_insn_data(const struct insn *, void *, size_t);
#else
const void *qemu_plugin_insn_data(const struct insn *);
#endif

enum { REGIONS = 8, CORES = 64 };
static int aarch64;
static FILE *out;
/* Each core counts for itself; a region that spans cores isn't meant. */
static struct core {
    uint64_t total, start[REGIONS], sum[REGIONS], last[REGIONS], runs[REGIONS];
    uint64_t *each[REGIONS], room[REGIONS];
    char apart[64]; /* cores run on threads of their own */
} cores[CORES];

/* 0 to 7 begins a region, 8 to 15 ends one, -1 is any other instruction. */
static int mark(const struct insn *insn) {
    uint8_t b[4];
    if (qemu_plugin_insn_size(insn) != 4) return -1;
#if API >= 3
    qemu_plugin_insn_data(insn, b, 4);
#else
    memcpy(b, qemu_plugin_insn_data(insn), 4);
#endif
    if (aarch64) {
        uint32_t word = b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
        uint32_t hint = word >> 5 & 127;
        return (word & 0xFFFFF01F) == 0xD503201F && hint >= 96 && hint < 112 ? (int)hint - 96 : -1;
    }
    uint32_t first = b[0] | b[1] << 8, second = b[2] | b[3] << 8;
    return first == 0xF3AF && second >> 4 == 0x80F ? (int)(second & 15) : -1;
}

static void count(unsigned core, void *insns) { cores[core % CORES].total += (uintptr_t)insns; }

static void pass_mark(unsigned core, void *which) {
    struct core *c = &cores[core % CORES];
    int m = (int)(intptr_t)which, r = m % REGIONS;
    if (m < REGIONS) {
        c->start[r] = c->total;
    } else {
        c->last[r] = c->total - c->start[r];
        c->sum[r] += c->last[r];
        if (c->runs[r] == c->room[r]) {
            c->room[r] = 2 * c->room[r] + 64;
            c->each[r] = realloc(c->each[r], c->room[r] * sizeof *c->each[r]);
            if (!c->each[r]) abort();
        }
        c->each[r][c->runs[r]++] = c->last[r];
    }
    c->total++;
}

/* A block is counted as a whole; one with a mark in it, instruction by instruction. */
static void translated(plugin_id id, struct block *block) {
    size_t n = qemu_plugin_tb_n_insns(block), marked = 0;
    (void)id;
    for (size_t i = 0; i < n; i++) marked += mark(qemu_plugin_tb_get_insn(block, i)) >= 0;
    if (!marked) {
        qemu_plugin_register_vcpu_tb_exec_cb(block, count, 0, (void *)n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct insn *insn = qemu_plugin_tb_get_insn(block, i);
        int m = mark(insn);
        if (m >= 0) qemu_plugin_register_vcpu_insn_exec_cb(insn, pass_mark, 0, (void *)(intptr_t)m);
        else qemu_plugin_register_vcpu_insn_exec_cb(insn, count, 0, (void *)1);
    }
}

static void finish(plugin_id id, void *unused) {
    uint64_t total = 0;
    (void)id, (void)unused;
    for (int c = 0; c < CORES; c++) total += cores[c].total;
    fprintf(out, "total %llu\n", (unsigned long long)total);
    for (int r = 0; r < REGIONS; r++) {
        uint64_t runs = 0, sum = 0, last = 0;
        const struct core *only = 0;
        for (int c = 0; c < CORES; c++) {
            runs += cores[c].runs[r], sum += cores[c].sum[r];
            if (cores[c].runs[r]) last = cores[c].last[r], only = &cores[c];
        }
        if (!runs) continue;
        fprintf(out, "region %d runs %llu insns %llu last %llu", r, (unsigned long long)runs, (unsigned long long)sum,
                (unsigned long long)last);
        if (runs == only->runs[r]) {
            fprintf(out, " each");
            for (uint64_t i = 0; i < runs; i++) fprintf(out, " %llu", (unsigned long long)only->each[r][i]);
        }
        fprintf(out, "\n");
    }
    fflush(out);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const struct info *info, int n, char **options) {
    aarch64 = !strcmp(info->target, "aarch64");
    out = stderr;
    for (int i = 0; i < n; i++)
        if (!strncmp(options[i], "out=", 4) && !(out = fopen(options[i] + 4, "w"))) return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finish, 0);
    return 0;
}
