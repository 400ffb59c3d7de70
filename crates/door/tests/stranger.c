/* A host written from cwASIO's documentation alone, with declarations of its own: it shares no line with the library, so
 * that a slip in our layouts cannot cancel itself out. Usage: stranger PATH_OF_SO MODE. Prints "ok" and returns 0, or
 * says what is wrong. Compiled and run by stranger.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { long input, number; void *half[2]; } Buffer;
typedef struct { long number, input, active, group, type; char name[32]; } Channel;
typedef struct { long index, channel, group, current; char name[32]; } Clock;
typedef struct {
    long reserved[4];
    double speed; long long nanoseconds, position; double rate; unsigned long flags; char pad[12];
    struct { double speed; long long samples; unsigned long flags; char pad[64]; } code;
} Time;
typedef struct {
    void (*block)(long half, long direct);
    void (*rate)(double);
    long (*message)(long selector, long value, void *more, double *opt);
    Time *(*timed)(Time *, long half, long direct);
} Callbacks;
typedef struct Object Object;
typedef struct {
    long (*query)(Object *, const void *, void **);
    unsigned long (*hold)(Object *);
    unsigned long (*release)(Object *);
    long (*init)(Object *, void *);
    void (*name)(Object *, char *);
    long (*version)(Object *);
    void (*error)(Object *, char *);
    long (*start)(Object *);
    long (*stop)(Object *);
    long (*channels)(Object *, long *, long *);
    long (*latencies)(Object *, long *, long *);
    long (*sizes)(Object *, long *, long *, long *, long *);
    long (*can_rate)(Object *, double);
    long (*get_rate)(Object *, double *);
    long (*set_rate)(Object *, double);
    long (*clocks)(Object *, Clock *, long *);
    long (*set_clock)(Object *, long);
    long (*position)(Object *, long long *, long long *);
    long (*channel)(Object *, Channel *);
    long (*create)(Object *, Buffer *, long, long, const Callbacks *);
    long (*dispose)(Object *);
    long (*panel)(Object *);
    long (*future)(Object *, long, void *);
    long (*ready)(Object *);
} Table;
struct Object { const Table *table; };

_Static_assert(sizeof(Buffer) == 32 && offsetof(Buffer, half) == 16, "Buffer");
_Static_assert(sizeof(Channel) == 72 && offsetof(Channel, name) == 40, "Channel");
_Static_assert(sizeof(Time) == 176 && offsetof(Time, code.flags) == 104, "Time");

#define SUCCESS 0x3f4847a0L
#define BLOCKS 200
#define CHECK(condition) do { if (!(condition)) { \
    printf("line %d: %s\n", __LINE__, #condition); exit(1); } } while (0)

static Object *driver;
static Buffer buffers[4];
static long frames, most;
static volatile long blocks, wrong, late_calls;
static volatile int stopped, in_start, want_time, questions;
static long long first_position, last_position = -1, last_time;
static long expected_half;
static uint32_t count;
static long delay[2], right;

static void pause_ms(long ms) {
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

/* Outputs carry a counter, never 0 and not the same in both channels; inputs must bring it back after a delay that
 * changes only where silence lies between: this is real time, and a busy machine may miss a block. */
static volatile int stick, stuck;

static void exchange(long half) {
    for (int i = 0; i < 4; i++) {
        uint32_t channel = 0x10000000u + buffers[i].number;
        uint32_t *samples = buffers[i].half[half];
        for (long n = 0; n < frames; n++) {
            uint32_t here = count + n + 1;
            if (!buffers[i].input) {
                samples[n] = here * 2 + channel;
            } else if (samples[n] == 0) {
                delay[i % 2] = -1;
            } else {
                if (delay[i % 2] < 0)
                    delay[i % 2] = here - (samples[n] - channel) / 2;
                if (samples[n] == (here - delay[i % 2]) * 2 + channel) right++;
                else wrong++;
            }
        }
    }
    count += frames;
}

static void on_block(long half) {
    long long position, time;
    if (stopped) { late_calls++; return; }
    if (half != expected_half) wrong++;
    expected_half = 1 - expected_half;
    if (driver->table->position(driver, &position, &time) != 0) wrong++;
    if (blocks == 0) first_position = position;
    else if (position <= last_position || position % frames || time < last_time) wrong++;
    last_position = position;
    last_time = time;
    exchange(half);
    while (stick) { stuck = 1; pause_ms(1); }
    if (stuck) return;
    if (driver->table->ready(driver) != 0) wrong++;
    blocks++;
}
static void block(long half, long direct) {
    if (want_time || direct != 1) wrong++;
    on_block(half);
}
static Time *timed(Time *time, long half, long direct) {
    if (!want_time || direct != 1 || (time->flags & 3) != 3) wrong++;
    if ((time->flags & 4) && time->rate != 96000.0) wrong++;
    for (int i = 0; i < 4; i++) if (time->reserved[i]) wrong++;
    if (time->code.flags) wrong++;
    on_block(half);
    if (time->position != last_position || time->nanoseconds != last_time) wrong++;
    return (Time *)0xdead;
}
static void rate(double hz) { (void)hz; wrong++; }
static long message(long selector, long value, void *more, double *opt) {
    if (more || opt) wrong++;
    questions++;
    switch (selector) {
    case 1: return value == 7 ? want_time : value == 2;
    case 2: return 2;
    case 7: return want_time;
    default: return 0;
    }
}

static void before_init(const Table *t) {
    char name[40], text[140];
    memset(name, 0x55, sizeof name);
    memset(text, 0x55, sizeof text);
    t->name(driver, name);
    CHECK(memchr(name, 0, 32) && name[32] == 0x55 && !strcmp(name, "Barewire"));
    long in = -1, out = -1;
    CHECK(t->channels(driver, &in, &out) == -1000 && in == 0 && out == 0);
    t->error(driver, text);
    CHECK(memchr(text, 0, 124) && text[124] == 0x55 && text[0]);
    CHECK(t->start(driver) == -997);
    CHECK(t->future(driver, 0x7F000001, NULL) == SUCCESS);
    CHECK(t->future(driver, 0x7F000001, "") == SUCCESS);
    CHECK(t->future(driver, 0x7F000001, "no such entry") == -1000);
}

static void queries(const Table *t) {
    long in, out, min, max, preferred, step, count = 4;
    double hz = 0;
    CHECK(t->init(driver, (void *)0x1234) == 1);
    CHECK(t->init(driver, NULL) == 1);
    CHECK(t->channels(driver, &in, &out) == 0 && in == 2 && out == 2);
    CHECK(t->sizes(driver, &min, &max, &preferred, &step) == 0);
    CHECK(0 < min && min <= preferred && preferred <= max);
    frames = preferred;
    most = max;
    CHECK(t->can_rate(driver, 96000) == 0 && t->can_rate(driver, 96000.5e3) == -995);
    CHECK(t->can_rate(driver, NAN) == -995 && t->set_rate(driver, -1) == -995);
    CHECK(t->set_rate(driver, 96000) == 0 && t->get_rate(driver, &hz) == 0 && hz == 96000);
    Clock clocks[5];
    memset(clocks, 0x55, sizeof clocks);
    CHECK(t->clocks(driver, clocks, &count) == 0 && count >= 1 && clocks[0].current == 1);
    CHECK(memchr(clocks[0].name, 0, 32) && clocks[count].index == 0x5555555555555555);
    CHECK(t->set_clock(driver, clocks[0].index) == 0 && t->set_clock(driver, 1000) == -998);
    for (int i = 0; i < 4; i++) {
        struct { Channel channel; char behind[64]; } room;
        memset(&room, 0x55, sizeof room);
        room.channel.number = i % 2;
        room.channel.input = i / 2;
        CHECK(t->channel(driver, &room.channel) == 0);
        CHECK(room.channel.type == 18 && room.channel.active == 0);
        CHECK(room.channel.number == i % 2 && room.channel.input == i / 2);
        CHECK(memchr(room.channel.name, 0, 32) && room.channel.name[0] && room.behind[0] == 0x55);
    }
    Channel none = { .number = 2 };
    CHECK(t->channel(driver, &none) == -998 && t->channel(driver, NULL) == -998);
    CHECK(t->future(driver, 0x24042012, NULL) == SUCCESS);
    long inside[3] = { -1, -1, 0x55 };
    CHECK(t->future(driver, 0x25042012, inside) == SUCCESS && inside[0] >= 0 && inside[2] == 0x55);
    CHECK(t->future(driver, 18, NULL) < 0);
    CHECK(t->position(driver, &first_position, &last_time) == -996);
    unsigned char unknown[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46 };
    void *same = NULL;
    CHECK(t->query(driver, unknown, &same) == 0 && same == driver && t->release(driver) == 1);
    CHECK(t->hold(driver) == 2 && t->release(driver) == 1);
}

static void make(const Table *t) {
    static const Callbacks model = { block, rate, message, timed };
    Callbacks *callbacks = malloc(sizeof *callbacks);
    *callbacks = model;
    for (int i = 0; i < 4; i++) {
        /* Outputs first, the last channel first. */
        buffers[i] = (Buffer){ .input = i / 2, .number = 1 - i % 2, .half = { (void *)8, (void *)8 } };
    }
    CHECK(t->create(driver, buffers, 4, most + 1, callbacks) < 0 && !buffers[0].half[0]);
    CHECK(t->create(driver, buffers, -1, frames, callbacks) == -998);
    CHECK(t->create(driver, NULL, 4, frames, callbacks) == -998);
    CHECK(t->create(driver, buffers, 4, frames, NULL) == -998);
    CHECK(t->create(driver, buffers, 4, frames, callbacks) == 0);
    /* Drivers that keep the pointer instead of the functions fall over this. */
    memset(callbacks, 0xAA, sizeof *callbacks);
    free(callbacks);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 2; k++)
            for (long n = 0; n < frames; n++)
                CHECK(((uint32_t *)buffers[i].half[k])[n] == 0);
    Channel info = { .number = 0, .input = 1 };
    CHECK(t->channel(driver, &info) == 0 && info.active == 1);
    CHECK(questions > 0 && blocks == 0);
    CHECK(t->ready(driver) == 0);
    long in = 0, out = 0;
    CHECK(t->latencies(driver, &in, &out) == 0 && in >= frames && out >= frames);
    CHECK(t->create(driver, buffers, 4, frames, &model) == -997);
}

static void play(const Table *t) {
    blocks = count = right = 0; delay[0] = delay[1] = -1; expected_half = 0; stopped = 0;
    CHECK(t->start(driver) == 0);
    for (int i = 0; blocks < BLOCKS && i < 10000; i++) pause_ms(1);
    CHECK(blocks >= BLOCKS);
}

static void halt(const Table *t) {
    CHECK(t->stop(driver) == 0);
    stopped = 1;
    pause_ms(50);
    CHECK(late_calls == 0);
    CHECK(wrong == 0 && first_position == 0);
    CHECK(right > BLOCKS * frames);
}

static int is_mapped(const char *path) {
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) found |= strstr(line, path) != NULL;
    fclose(maps);
    return found;
}

static void *module;
static const char *mode;

/* From the first call to the last release. */
static void *life(void *nothing) {
    Object *(*instantiate)(void) = dlsym(module, "instantiateDriver");
    void (*done)(Object *) = dlsym(module, "releaseDriver");
    CHECK(instantiate && done);
    driver = instantiate();
    CHECK(driver && driver->table);
    const Table *t = driver->table;
    want_time = strcmp(mode, "plain") != 0;
    before_init(t);
    queries(t);
    make(t);
    if (!strcmp(mode, "timed") || !strcmp(mode, "plain")) {
        for (int i = 0; i < 2; i++) { play(t); halt(t); }
        CHECK(t->dispose(driver) == 0 && t->dispose(driver) == -997);
        CHECK(t->release(driver) == 0);
    } else if (!strcmp(mode, "stuck")) {
        /* A callback of ours does not come back. */
        stick = 1;
        CHECK(t->start(driver) == 0);
        while (!stuck) pause_ms(1);
        struct timespec from, to;
        clock_gettime(CLOCK_MONOTONIC, &from);
        CHECK(t->release(driver) == 0);
        clock_gettime(CLOCK_MONOTONIC, &to);
        CHECK(to.tv_sec - from.tv_sec < 10);
        stopped = 1;
    } else {
        /* As cwASIO's own player and recorder end: in the middle of the run. */
        play(t);
        CHECK(t->release(driver) == 0);
        stopped = 1;
    }
    done(driver);
    return nothing;
}

int main(int given, char **arguments) {
    CHECK(given == 3);
    const char *path = arguments[1];
    mode = arguments[2];
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) { printf("%s\n", dlerror()); return 1; }
    if (!strcmp(mode, "register") || !strcmp(mode, "unregister")) {
        int (*call)(const char *) = dlsym(module, mode[0] == 'r' ? "registerDriver" : "unregisterDriver");
        printf("%d %d\n", call(NULL), call("a/b"));
        return 0;
    }
    int here = !strcmp(mode, "release here");
    if (here) {
        life(NULL);
    } else {
        /* What a library's language leaves behind in a thread ends with the thread, and lets the loader unmap it. */
        pthread_t thread;
        CHECK(!pthread_create(&thread, NULL, life, NULL) && !pthread_join(thread, NULL));
    }
    CHECK(dlclose(module) == 0);
    CHECK(here || is_mapped(path) == stick);
    stick = 0;
    pause_ms(50);
    CHECK(late_calls == 0 && wrong == 0);
    printf("ok\n");
    return 0;
}
