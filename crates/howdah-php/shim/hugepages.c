/* Huge pages (docs/decisions/0036). To a process that serves one request, each small page is dear: its entry is copied by the fork, or
 * made by a fault if the memory is shared, and undone at the end. A huge page is one entry. Other processes gain by opcache's memory in
 * huge pages, too: fewer misses of the processor's translations. */
#include "shim.h"
#include <sys/mman.h>
#include <sys/random.h>

#define HUGE ((size_t) 2 << 20)
#define PAGES 512 /* of 4 KiB in a huge one */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Where the kernel puts MAP_32BIT, as opcache asks for (arch/x86/kernel/sys_x86_64.c): at the first room after this address and up
 * to LOW_RANDOM bytes. */
#define LOW ((void *) 0x40000000)
#define LOW_RANDOM ((size_t) 32 << 20)
#define CHOICES 192

static void *taken = MAP_FAILED;
static size_t taken_length;

/* Takes the room up to a multiple of a huge page until PHP has started: its memory then begins there. Where another address is
 * chosen, nothing is lost but the huge pages. */
void howdah_huge_pages_align(void)
{
	unsigned char choice = 0;

	/* Else the address could be guessed. */
	if (getrandom(&choice, sizeof(choice), GRND_NONBLOCK) != sizeof(choice)) {
		return;
	}
	taken_length = LOW_RANDOM + choice % CHOICES * HUGE;
	taken = mmap(LOW, taken_length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

void howdah_huge_pages_aligned(void)
{
	if (taken != MAP_FAILED) {
		munmap(taken, taken_length);
	}
}

/* What is at least half in use becomes one page, so that this takes little more memory. */
static void collapse(char *start, char *end)
{
	unsigned char resident[PAGES];

	for (; start + HUGE <= end; start += HUGE) {
		size_t index, count = 0;
		if (mincore(start, HUGE, resident) != 0) {
			return;
		}
		for (index = 0; index < PAGES; index++) {
			count += resident[index] & 1;
		}
		if (count >= PAGES / 2) {
			/* An older kernel, or no memory in one piece: the small pages stay. */
			madvise(start, HUGE, MADV_COLLAPSE);
		}
	}
}

/* All memory of one kind, by its permissions and name in proc_pid_maps(5). */
static void collapse_all(const char *permissions, bool (*is_meant)(const char *name))
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	if (!maps) {
		return;
	}
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		char found[8], name[256] = "";
		int fields = sscanf(line, "%lx-%lx %7s %*s %*s %*s %255[^\n]", &start, &end, found, name);
		if (fields >= 3 && !strcmp(found, permissions) && is_meant(name)) {
			collapse((char *) ((start + HUGE - 1) & ~(HUGE - 1)), (char *) end);
		}
	}
	fclose(maps);
}

/* Shared and of no file: to the kernel, of this one. */
static bool is_shared(const char *name)
{
	return !strcmp(name, "/dev/zero (deleted)");
}

/* PHP 8.3 and later give theirs a name. */
static bool is_heap(const char *name)
{
	return !*name || !strcmp(name, "[heap]") || !strncmp(name, "[anon:", sizeof("[anon:") - 1);
}

void howdah_huge_pages_shared(void)
{
	collapse_all("rw-s", is_shared);
}

void howdah_huge_pages_heap(void)
{
	collapse_all("rw-p", is_heap);
}
