# The guest of the migration tests: a boot sector that counts on the serial port, one line a pass: eight digits and a dot.
# Every 16th count goes to sector 100 of the boot disk. With `span` set, each pass stamps every page of that many bytes
# above 2 MiB with the count, after checking the stamp of the pass before. A stamp that is wrong turns the dot into "!", a
# disk that does not take its sector into "d".
#   as --32 tick_guest.S -o o && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o tick_guest.bin o

.code16
.globl _start
_start:
  cli
  xorw %ax,%ax
  movw %ax,%ds
  movw %ax,%ss
  movw $0x7c00,%sp
  xorl %ecx,%ecx
pass:
  incl %ecx
  movl %ecx,%ebx
  movw $8,%si
digit:
  roll $4,%ebx
  movb %bl,%al
  andb $15,%al
  addb $'0',%al
  cmpb $'9',%al
  jbe 1f
  addb $39,%al
1: call putc
  decw %si
  jnz digit
  movb bad,%al
  call putc
  movb $10,%al
  call putc
  testb $15,%cl
  jnz 4f
  call store
4: cmpl $0,span
  jne dirty
  sti
  hlt
  cli
  jmp pass
dirty:
  # flat data segment for the pages above 2 MiB
  lgdt gdtr
  movl %cr0,%eax
  orb $1,%al
  movl %eax,%cr0
  movw $8,%bx
  movw %bx,%es
  andb $0xfe,%al
  movl %eax,%cr0
  xorw %bx,%bx
  movw %bx,%es
  movl $0x200000,%edi
  movl span,%ebp
  addl %edi,%ebp
  leal -1(%ecx),%edx
page:
  cmpl $1,%ecx
  je 2f
  cmpl %edx,%es:(%edi)
  je 2f
  movb $'!',bad
2: movl %ecx,%es:(%edi)
  addl $4096,%edi
  cmpl %ebp,%edi
  jb page
  jmp pass
store:                     # the counter into sector 100 of the boot disk
  pushal
  movl %ecx,0x7e00
  movb $0x43,%ah
  movb $0,%al
  movb $0x80,%dl
  movw $dap,%si
  int $0x13
  jnc 5f
  movb $'d',bad
5: cli
  xorw %ax,%ax
  movw %ax,%ds
  movw %ax,%es
  popal
  ret
putc:
  pushw %ax
3: movw $0x3fd,%dx
  inb %dx,%al
  testb $0x20,%al
  jz 3b
  popw %ax
  movw $0x3f8,%dx
  outb %al,%dx
  ret
bad: .byte '.'
.balign 4
dap: .byte 16,0
  .word 1
  .word 0x7e00,0
  .quad 100
.balign 8
gdt: .quad 0
  .quad 0x00cf92000000ffff
gdtr: .word 15
  .long gdt
.org 506
span: .long 0
.org 510
  .word 0xaa55
