#include "host/dataplane/prefix_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct slu_prefix_entry *a, const struct slu_prefix_entry *b)
{
	if (a->vpc != b->vpc)
		return a->vpc < b->vpc ? -1 : 1;
	return memcmp(a->prefix.ip.bytes, b->prefix.ip.bytes, sizeof(a->prefix.ip.bytes));
}

static int by_length(const void *left, const void *right)
{
	const struct slu_prefix_entry *a = left, *b = right;

	if (a->prefix.ip.family != b->prefix.ip.family)
		return a->prefix.ip.family < b->prefix.ip.family ? -1 : 1;
	if (a->prefix.bits != b->prefix.bits)
		return a->prefix.bits < b->prefix.bits ? -1 : 1;
	return compare(a, b);
}

int slu_prefix_set_build(struct slu_prefix_set *set, const struct slu_prefix_entry *entries, uint32_t count)
{
	uint32_t at = 0;

	*set = (struct slu_prefix_set){0};
	if (count == 0)
		return 0;
	set->entries = malloc(count * sizeof(*entries));
	if (!set->entries)
		return -ENOMEM;
	memcpy(set->entries, entries, count * sizeof(*entries));
	qsort(set->entries, count, sizeof(*entries), by_length);
	set->count = count;
	for (unsigned int family = 0; family < 2; family++)
		for (unsigned int bits = 0; bits < 130; bits++) {
			set->first[family][bits] = at;
			while (at < count && set->entries[at].prefix.ip.family == (family ? 6 : 4) &&
				set->entries[at].prefix.bits == bits)
				at++;
		}
	return 0;
}

void slu_prefix_set_free(struct slu_prefix_set *set)
{
	free(set->entries);
	*set = (struct slu_prefix_set){0};
}

/* The first `bits` bits of an address, the rest zero. */
static void mask(uint8_t to[16], const void *address, uint8_t family, unsigned int bits)
{
	unsigned int whole = bits / 8;

	memset(to, 0, 16);
	memcpy(to, address, family == 4 ? 4 : 16);
	if (whole < 16) {
		to[whole] &= (uint8_t)(0xFF00 >> bits % 8);
		memset(to + whole + 1, 0, 15 - whole);
	}
}

const void *slu_prefix_set_find(const struct slu_prefix_set *set, uint32_t vpc, uint8_t family, const void *address)
{
	const uint32_t *first = set->first[family == 6];

	for (int bits = family == 4 ? 32 : 128; set->count && bits >= 0; bits--) {
		struct slu_prefix_entry wanted = {.vpc = vpc};
		uint32_t low = first[bits], high = first[bits + 1];

		if (low == high)
			continue;
		mask(wanted.prefix.ip.bytes, address, family, (unsigned int)bits);
		while (low < high) {
			uint32_t middle = low + (high - low) / 2;
			int order = compare(&set->entries[middle], &wanted);

			if (order == 0)
				return set->entries[middle].value;
			if (order < 0)
				low = middle + 1;
			else
				high = middle;
		}
	}
	return NULL;
}
