/* Host memory of the card: mappings, bounds, and a host that takes its memory away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hw/sim/dma_map.h"

#define PAGE 4096u
#define RW (PROT_READ | PROT_WRITE)

struct fixture {
	struct slu_dma_map *map;
	int fd;
	uint8_t *memory; /* 16 pages of fd as the host sees them */
};

static int set_up(void **state)
{
	static struct fixture f;

	f.map = slu_dma_map_create();
	f.fd = memfd_create("test", MFD_CLOEXEC);
	if (ftruncate(f.fd, 16 * PAGE))
		return -1;
	f.memory = mmap(NULL, 16 * PAGE, RW, MAP_SHARED, f.fd, 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	slu_dma_map_destroy(f->map);
	munmap(f->memory, 16 * PAGE);
	close(f->fd);
	return 0;
}

static void access__inside_a_mapping__reaches_the_hosts_memory(void **state)
{
	struct fixture *f = *state;
	char buf[8];

	assert_int_equal(slu_dma_map_add(f->map, 0x7000, 2 * PAGE, f->fd, PAGE, RW, 9), 0);
	memcpy(f->memory + PAGE + 5, "sluice", 7);
	assert_int_equal(slu_dma_map_read(f->map, 0x7005, buf, 7), 0);
	assert_string_equal(buf, "sluice");
	assert_int_equal(slu_dma_map_write(f->map, 0x7000 + 2 * PAGE - 3, "end", 3), 0);
	assert_memory_equal(f->memory + 3 * PAGE - 3, "end", 3);
}

static void access__over_two_adjacent_mappings__is_one_access(void **state)
{
	struct fixture *f = *state;
	char buf[8];

	/* Second in address, first in the file, and added in the other order. */
	assert_int_equal(slu_dma_map_add(f->map, 0x9000, PAGE, f->fd, 0, RW, 9), 0);
	assert_int_equal(slu_dma_map_add(f->map, 0x8000, PAGE, f->fd, 5 * PAGE, RW, 9), 0);
	assert_int_equal(slu_dma_map_write(f->map, 0x8FFD, "abcdef", 6), 0);
	assert_memory_equal(f->memory + 6 * PAGE - 3, "abc", 3);
	assert_memory_equal(f->memory, "def", 3);
	assert_int_equal(slu_dma_map_read(f->map, 0x8FFD, buf, 6), 0);
	assert_memory_equal(buf, "abcdef", 6);
}

static void access__outside_or_beyond_or_against_its_direction__fails(void **state)
{
	struct fixture *f = *state;
	char buf[16] = {0};

	assert_int_equal(slu_dma_map_add(f->map, 0x8000, PAGE, f->fd, 0, PROT_READ, 9), 0);
	assert_int_equal(slu_dma_map_add(f->map, 0x20000, PAGE, f->fd, PAGE, PROT_WRITE, 9), 0);
	assert_int_equal(slu_dma_map_add(f->map, 0xFFFFFFFFFFFFF000, PAGE, f->fd, PAGE, RW, 9), 0);
	assert_int_equal(slu_dma_map_read(f->map, 0x7FFF, buf, 2), -EFAULT);
	assert_int_equal(slu_dma_map_read(f->map, 0x8FFF, buf, 2), -EFAULT);
	assert_int_equal(slu_dma_map_read(f->map, 0, buf, 1), -EFAULT);
	assert_int_equal(slu_dma_map_read(f->map, 0xFFFFFFFFFFFFFFFF, buf, 2), -EFAULT);
	assert_int_equal(slu_dma_map_write(f->map, 0x8000, buf, 1), -EACCES);
	assert_int_equal(slu_dma_map_read(f->map, 0x20000, buf, 1), -EACCES);
}

static void add__overlapping_or_too_many__is_refused_and_changes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(slu_dma_map_add(f->map, 0, PAGE, f->fd, 0, RW, 2), 0);
	assert_int_equal(slu_dma_map_add(f->map, 0x8000, 2 * PAGE, f->fd, 0, RW, 2), 0);
	assert_int_equal(slu_dma_map_add(f->map, 0, PAGE, f->fd, 0, RW, 9), -EEXIST);
	assert_int_equal(slu_dma_map_add(f->map, 0x7000, 2 * PAGE, f->fd, 0, RW, 9), -EEXIST);
	assert_int_equal(slu_dma_map_add(f->map, 0x9000, PAGE, f->fd, 0, RW, 9), -EEXIST);
	assert_int_equal(slu_dma_map_add(f->map, 0xA000, PAGE, f->fd, 0, RW, 2), -ENOSPC);
	assert_int_equal(slu_dma_map_count(f->map), 2);
	/* Right before and right after are free. */
	assert_int_equal(slu_dma_map_add(f->map, 0x7000, PAGE, f->fd, 0, RW, 9), 0);
	assert_int_equal(slu_dma_map_add(f->map, 0xA000, PAGE, f->fd, 0, RW, 9), 0);
}

static void remove__one_of_many__leaves_the_others(void **state)
{
	struct fixture *f = *state;
	char buf;

	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(slu_dma_map_add(f->map, (i * 7 % 200) * PAGE * 2, PAGE, f->fd, 0, RW, 500), 0);
	assert_int_equal(slu_dma_map_remove(f->map, 100 * PAGE * 2, 2 * PAGE), -ENOENT);
	assert_int_equal(slu_dma_map_remove(f->map, 100 * PAGE * 2, PAGE), 0);
	for (uint64_t i = 0; i < 200; i++)
		assert_int_equal(slu_dma_map_read(f->map, i * PAGE * 2, &buf, 1), i == 100 ? -EFAULT : 0);
}

static void access__file_truncated_behind_the_mapping__is_an_error_not_a_crash(void **state)
{
	struct fixture *f = *state;
	uint32_t word = 1;

	/* cmocka takes SIGBUS before each test; a new map takes it again. */
	slu_dma_map_destroy(f->map);
	f->map = slu_dma_map_create();
	assert_int_equal(slu_dma_map_add(f->map, 0x8000, 4 * PAGE, f->fd, 0, RW, 9), 0);
	assert_int_equal(slu_dma_map_write(f->map, 0x8000, &word, 4), 0);
	assert_int_equal(ftruncate(f->fd, 0), 0);
	/* More than once: the first must leave the signal as it found it. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(slu_dma_map_read(f->map, 0x8000, &word, 4), -EFAULT);
		assert_int_equal(slu_dma_map_write(f->map, 0x9000, &word, 4), -EFAULT);
	}
	assert_int_equal(ftruncate(f->fd, 16 * PAGE), 0);
	assert_int_equal(slu_dma_map_read(f->map, 0x8000, &word, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(access__inside_a_mapping__reaches_the_hosts_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(access__over_two_adjacent_mappings__is_one_access, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			access__outside_or_beyond_or_against_its_direction__fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			add__overlapping_or_too_many__is_refused_and_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(remove__one_of_many__leaves_the_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			access__file_truncated_behind_the_mapping__is_an_error_not_a_crash, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
