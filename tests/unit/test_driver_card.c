#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "driver/base/card.h"

#ifndef CARD_TREE
#define CARD_TREE "build/hw/dts/sluice-nic.dtb"
#endif
#define ROOM 16384

static uint8_t original[ROOM];
static size_t original_bytes;

static struct slu_card card;
static char why[256];

static int parse(const void *tree, size_t bytes)
{
	memset(why, 0, sizeof(why));
	return slu_card_parse(tree, bytes, &card, why, sizeof(why));
}

/* A copy that can be edited. The test frees it. */
static void *editable(void)
{
	void *tree = malloc(ROOM);

	assert_int_equal(fdt_open_into(original, tree, ROOM), 0);
	return tree;
}

static int node(const void *tree, const char *compatible)
{
	int offset = fdt_node_offset_by_compatible(tree, -1, compatible);

	assert_true(offset >= 0);
	return offset;
}

static int parse_edited(void *tree)
{
	fdt_pack(tree);
	int error = parse(tree, fdt_totalsize(tree));

	free(tree);
	return error;
}

static void parse__the_tree_of_this_build__finds_what_it_says(void **state)
{
	(void)state;
	assert_int_equal(parse(original, original_bytes), 0);
	assert_int_equal(card.ports, SLU_NIC_PORT_COPIES);
	assert_int_equal(card.queues, SLU_NIC_QUEUE_COPIES);
	assert_int_equal(card.command_base, SLU_NIC_CMD_BASE);
	assert_int_equal(card.flow_base, SLU_NIC_FLOW_BASE);
	assert_int_equal(card.queue_base, SLU_NIC_QUEUE_BASE);
	assert_int_equal(card.queue_stride, SLU_NIC_QUEUE_STRIDE);
	for (unsigned p = 0; p < card.ports; p++) {
		assert_int_equal(card.port[p].base, SLU_NIC_PORT_BASE + p * SLU_NIC_PORT_STRIDE);
		assert_int_equal(card.port[p].first_queue, p * card.port[0].queues);
		assert_int_equal(card.port[p].mac[0] & 1, 0);
	}
	assert_true(card.bucket_bits && card.flow_id_bits && card.next_hop_bits && card.clock_hz);
}

static void parse__cut_at_any_length__returns_ebadmsg(void **state)
{
	(void)state;
	for (size_t bytes = 0; bytes < original_bytes; bytes++) {
		/* Exactly as long, so that a sanitizer sees a read beyond. */
		void *cut = malloc(bytes ? bytes : 1);

		memcpy(cut, original, bytes);
		assert_int_equal(parse(cut, bytes), -EBADMSG);
		assert_non_null(strstr(why, "device tree"));
		free(cut);
	}
}

static void parse__any_byte_changed__never_crashes(void **state)
{
	(void)state;
	uint8_t *copy = malloc(original_bytes);

	for (size_t at = 0; at < original_bytes; at++) {
		for (unsigned bit = 0; bit < 8; bit += 3) {
			memcpy(copy, original, original_bytes);
			copy[at] ^= (uint8_t)(1u << bit);
			if (parse(copy, original_bytes) == 0)
				assert_in_range(card.ports, 1, SLU_CARD_PORTS_MAX);
			else
				assert_string_not_equal(why, "");
		}
	}
	free(copy);
}

static void parse__tree_of_something_else__names_what_it_found(void **state)
{
	(void)state;
	void *tree = editable();

	fdt_setprop_string(tree, 0, "compatible", "acme,toaster");
	assert_int_equal(parse_edited(tree), -ENOTSUP);
	assert_string_equal(why, "device tree: node /: property compatible is \"acme,toaster\", not \"sluice,nic\"");
}

static void parse__property_missing__names_node_and_property(void **state)
{
	(void)state;
	void *tree = editable();

	fdt_delprop(tree, node(tree, "sluice,flow-table"), "sluice,bucket-bits");
	assert_int_equal(parse_edited(tree), -EBADMSG);
	assert_non_null(strstr(why, "node flow@200: property sluice,bucket-bits"));
}

static void parse__value_out_of_range__names_node_property_and_value(void **state)
{
	(void)state;
	void *tree = editable();

	fdt_setprop_u32(tree, node(tree, "sluice,flow-table"), "sluice,bucket-bits", 31);
	assert_int_equal(parse_edited(tree), -ENOTSUP);
	assert_string_equal(
		why, "device tree: node flow@200: property sluice,bucket-bits is 31, this driver handles 1 to 24");
}

static void parse__block_outside_the_registers__is_refused(void **state)
{
	(void)state;
	const fdt32_t reg[2] = {cpu_to_fdt32(0xFFFFFFF0u), cpu_to_fdt32(0x100)};
	void *tree = editable();

	fdt_setprop(tree, node(tree, "sluice,command-ring"), "reg", reg, sizeof(reg));
	assert_int_equal(parse_edited(tree), -ENOTSUP);
	assert_non_null(strstr(why, "node cmd@100: property reg"));
}

static void parse__other_hash__is_refused(void **state)
{
	(void)state;
	void *tree = editable();

	fdt_setprop_string(tree, node(tree, "sluice,flow-table"), "sluice,hash", "crc32c");
	assert_int_equal(parse_edited(tree), -ENOTSUP);
	assert_non_null(strstr(why, "sluice,hash"));
}

static void parse__port_twice_or_without_queues__is_refused(void **state)
{
	(void)state;
	void *tree = editable();
	int second = fdt_node_offset_by_compatible(tree, node(tree, "sluice,port"), "sluice,port");

	fdt_setprop_u32(tree, second, "sluice,port", 0);
	assert_int_equal(parse_edited(tree), -ENOTSUP);
	assert_non_null(strstr(why, "is there twice"));
	tree = editable();
	fdt_setprop_u32(tree, node(tree, "sluice,port"), "sluice,queues", 100);
	assert_int_equal(parse_edited(tree), -ENOTSUP);
	assert_non_null(strstr(why, "port@400: property sluice,queues"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__the_tree_of_this_build__finds_what_it_says),
		cmocka_unit_test(parse__cut_at_any_length__returns_ebadmsg),
		cmocka_unit_test(parse__any_byte_changed__never_crashes),
		cmocka_unit_test(parse__tree_of_something_else__names_what_it_found),
		cmocka_unit_test(parse__property_missing__names_node_and_property),
		cmocka_unit_test(parse__value_out_of_range__names_node_property_and_value),
		cmocka_unit_test(parse__block_outside_the_registers__is_refused),
		cmocka_unit_test(parse__other_hash__is_refused),
		cmocka_unit_test(parse__port_twice_or_without_queues__is_refused),
	};
	FILE *file = fopen(CARD_TREE, "rb");

	if (!file) {
		perror(CARD_TREE);
		return 1;
	}
	original_bytes = fread(original, 1, sizeof(original), file);
	fclose(file);
	return cmocka_run_group_tests_name("driver_card", tests, NULL, NULL);
}
