/* What runs in the guest of the migration measurements: every millisecond it rewrites some pages of its working set, one
 * after the other and round again, and sends a tick that says how much it has written. A millisecond that it lost (it was
 * slowed down, or stood still) is not made up for. 32 bit, without a C library:
 *   gcc -m32 -Os -static -nostdlib -ffreestanding ... load_guest.c -o load
 *   load ADDRESS PORT MIB      ADDRESS as a decimal number in network order; MIB: the memory to fill with noise
 * Answers to its ticks (12 bytes: pages per tick, pages of the working set, pages to fill anew) set what it does. */
typedef unsigned int u32;
typedef unsigned long long u64;

static inline int call(int n, int a, int b, int c, int d, int e, int f) {
  struct { int n, f; } at = {n, f};
  int r = (int)&at;
  __asm__ volatile("push %%ebp\n mov 4(%%eax),%%ebp\n mov (%%eax),%%eax\n int $0x80\n pop %%ebp"
                   : "+a"(r) : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "m"(at) : "memory");
  return r;
}

enum { kExit = 1, kMprotect = 125, kMmap2 = 192, kNanosleep = 407 /* clock_nanosleep_time64 */, kGetTime = 403, kSocket = 359, kConnect = 362, kSendTo = 369,
       kRecvFrom = 371 };

struct time64 { u64 sec; u32 nsec, pad; };
struct address { unsigned short family, port; u32 ip; char zero[8]; };
struct tick { u32 nonce, number, pages_low, pages_high; };
struct order { u32 per_tick, set, fill; };

static u32 number_of(const char* s) {
  u32 v = 0;
  while (*s >= '0' && *s <= '9') v = v * 10 + (u32)(*s++ - '0');
  return v;
}

static void fill(u32* memory, u32 pages, u32 seed) {
  u32 x = seed | 1;
  for (u32 i = 0; i < pages * 1024; ++i) {
    x ^= x << 13; x ^= x >> 17; x ^= x << 5;
    memory[i] = x;
  }
}

__attribute__((used)) void run(int* stack) {
  char** argv = (char**)(stack + 1);
  u32 pages = number_of(argv[3]) * 256;
  u32* memory = (u32*)call(kMmap2, 0, (int)(pages * 4096), 3, 0x8022 /* private, anonymous, populated */, -1, 0);
  if ((u32)memory > 0xfffff000u) call(kExit, 1, 0, 0, 0, 0, 0);
  struct time64 next;
  call(kGetTime, 1, (int)&next, 0, 0, 0, 0);
  fill(memory, pages, next.nsec);
  struct address to = {2, (unsigned short)number_of(argv[2]), number_of(argv[1]), {0}};
  to.port = (unsigned short)(to.port << 8 | to.port >> 8);
  int socket = call(kSocket, 2, 2, 0, 0, 0, 0);
  if (call(kConnect, socket, (int)&to, sizeof to, 0, 0, 0) != 0) call(kExit, 2, 0, 0, 0, 0, 0);
  struct order order = {0, pages, 0};
  struct tick tick = {next.nsec | 1, 0, 0, 0};
  u64 written = 0;
  u32 at = 0;
  /* Emulated processors of QEMU before 9.0 note no write through what their TLB holds (its migration clears the notes, and
   * not the TLB), and so lose pages. Changing the protection of this forgets the TLB, once a tick; the kernel's share of it,
   * too, where the processor has no global pages (pge). */
  u32 forget = (u32)call(kMmap2, 0, 64 * 4096, 3, 0x8022, -1, 0);
  call(kGetTime, 1, (int)&next, 0, 0, 0, 0);
  for (;;) {
    call(kMprotect, (int)forget, 64 * 4096, tick.number & 1 ? 1 : 3, 0, 0, 0);
    for (u32 i = 0; i < order.per_tick; ++i) {
      if (at >= order.set) at = 0;
      memory[at++ * 1024] += 0x9e3779b9u;
    }
    written += order.per_tick;
    ++tick.number;
    tick.pages_low = (u32)written;
    tick.pages_high = (u32)(written >> 32);
    call(kSendTo, socket, (int)&tick, sizeof tick, 0x40, 0, 0);
    struct order heard;
    if (call(kRecvFrom, socket, (int)&heard, sizeof heard, 0x40, 0, 0) == sizeof heard) {
      order = heard;
      if (order.set < 1 || order.set > pages) order.set = pages;
      if (order.fill) fill(memory, order.fill > pages ? pages : order.fill, tick.number);
    }
    next.nsec += 1000000;
    if (next.nsec >= 1000000000) next.nsec -= 1000000000, ++next.sec;
    struct time64 now;
    call(kGetTime, 1, (int)&now, 0, 0, 0, 0);
    if (now.sec > next.sec || (now.sec == next.sec && now.nsec > next.nsec)) next = now;   /* lost */
    else call(kNanosleep, 1, 1 /* until */, (int)&next, 0, 0, 0);
  }
}

__asm__(".globl _start\n_start:\n mov %esp,%eax\n and $-16,%esp\n sub $12,%esp\n push %eax\n call run\n");
