// The program in the guest of the migration tests: it shows on the network whether its guest is one, and whole.
//   ticker HOST PORT PAUSE_US PAGES PAGES_PER_TICK DISK
// Every PAUSE_US a UDP datagram goes to HOST:PORT: this process's nonce, a number that only grows, and the state of
// - PAGES pages, of which each tick checks every word of the next PAGES_PER_TICK and stamps them with the next generation;
// - 128 KiB of DISK above its first MiB, read and checked in full and written with the next generation all the time.
// A word that is not of the generation before is a fault; faults are counted and sent with every tick from then on.
// Statically linked, without a libc: cc -m32 -nostdlib (the guest's kernel is a 32-bit one).
typedef unsigned int u32;
typedef unsigned char u8;

static int call(int number, int a, int b, int c, int d, int e) {
  int out;
  __asm__ volatile("int $0x80" : "=a"(out) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
  return out;
}
enum { kExit = 1, kFork = 2, kWrite = 4, kOpen = 5, kMmap = 90, kMprotect = 125, kNanosleep = 162, kPread = 180, kPwrite = 181, kRandom = 355, kSocket = 359, kConnect = 362 };

struct Tick {
  u32 magic, nonce, number, memory_generation, memory_faults, disk_generation, disk_faults, disk_errors;
};

static void* map(u32 bytes, int shared) {
  u32 args[6] = {0, bytes, 3, (shared ? 1 : 2) | 0x20, (u32)-1, 0};
  return (void*)call(kMmap, (int)args, 0, 0, 0, 0);
}
/* Emulated processors of QEMU before 9.0 note no write through what their TLB holds (a migration clears the notes, and not the
 * TLB), and so lose pages: of this program, and of the kernel below it. Writing to these pages no more, and again, empties the
 * TLB; the kernel's part of it, too, as the processor has no global pages (ticks.py). Under KVM nothing is lost. */
enum { kForgotten = 64 * 4096 };
static void forget_tlb(void* pages, u32 tick) { call(kMprotect, (int)pages, kForgotten, tick & 1 ? 1 : 3, 0, 0); }

static void pause_us(u32 us) {
  u32 time[2] = {us / 1000000, us % 1000000 * 1000};
  call(kNanosleep, (int)time, 0, 0, 0, 0);
}
static u32 number_of(const char* text) {
  u32 out = 0;
  while (*text >= '0' && *text <= '9') out = out * 10 + (u32)(*text++ - '0');
  return out;
}
static u32 word(u32 generation, u32 index) { return generation * 2654435761u ^ index; }

// Words that are not as the generation before left them; all of them become of the next one.
static u32 turn(u32* words, u32 from, u32 count, u32 generation) {
  u32 bad = 0;
  for (u32 i = from; i < from + count; ++i) {
    if (generation > 1 && words[i] != word(generation - 1, i)) ++bad;
    words[i] = word(generation, i);
  }
  return bad;
}

enum { kRegion = 128 << 10, kAbove = 1 << 20 };

static void disk_for_ever(const char* path, volatile struct Tick* tick) {
  u32* buffer = map(kRegion, 0);
  int fd = call(kOpen, (int)path, 2 | 040000, 0, 0, 0);  // O_RDWR | O_DIRECT
  for (u32 generation = 1;; ++generation) {
    if (generation > 1 && call(kPread, fd, (int)buffer, kRegion, kAbove, 0) != kRegion) ++tick->disk_errors;
    tick->disk_faults += turn(buffer, 0, kRegion / 4, generation);
    if (call(kPwrite, fd, (int)buffer, kRegion, kAbove, 0) != kRegion) ++tick->disk_errors;
    tick->disk_generation = generation;
    pause_us(20000);
  }
}

__attribute__((used)) void begin(int* stack) {
  char** argv = (char**)(stack + 1);
  if (stack[0] != 7) call(kExit, 2, 0, 0, 0, 0);
  u8 address[16] = {2, 0};  // AF_INET
  u32 port = number_of(argv[2]), pause = number_of(argv[3]), pages = number_of(argv[4]), step = number_of(argv[5]);
  address[2] = (u8)(port >> 8);
  address[3] = (u8)port;
  const char* host = argv[1];
  for (int i = 4; i < 8; ++i) {
    address[i] = (u8)number_of(host);
    while (*host >= '0' && *host <= '9') ++host;
    ++host;
  }
  volatile struct Tick* tick = map(4096, 1);
  tick->magic = 0x4b434954;  // "TICK"
  call(kRandom, (int)&tick->nonce, 4, 0, 0, 0);
  if (call(kFork, 0, 0, 0, 0, 0) == 0) disk_for_ever(argv[6], tick);
  int out = call(kSocket, 2, 2, 0, 0, 0);
  call(kConnect, out, (int)address, sizeof address, 0, 0);
  u32* memory = map(pages * 4096, 0);
  u8* forgotten = map(kForgotten, 0);
  for (u32 i = 0; i < kForgotten; i += 4096) forgotten[i] = 1;
  u32 generation = 1, page = 0;
  for (;;) {
    forget_tlb(forgotten, tick->number);
    for (u32 i = 0; i < step; ++i) {
      tick->memory_faults += turn(memory, page * 1024, 1024, generation);
      if (++page == pages) page = 0, ++generation;
    }
    ++tick->number;
    tick->memory_generation = generation;
    call(kWrite, out, (int)tick, sizeof *tick, 0, 0);
    pause_us(pause);
  }
}
__asm__(".globl _start\n_start: mov %esp,%eax\n and $-16,%esp\n sub $12,%esp\n push %eax\n call begin\n");
