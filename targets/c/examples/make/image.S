// Embeds the file that the Makefile names.
    .section .rodata.jamlet_image, "a"
    .balign 64
    .global jamlet_image
jamlet_image:
    .incbin IMAGE
