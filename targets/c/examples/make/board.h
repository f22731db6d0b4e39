// What the program needs of a board; board.c is Arm's MPS2 in QEMU.
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>

// Prints bytes.
void board_write(const char *text, size_t bytes);

#endif
