// What the example uses of Zephyr, to compile it without.
void printk(const char *format, ...) __attribute__((format(printf, 1, 2)));
