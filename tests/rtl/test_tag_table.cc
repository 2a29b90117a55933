/* slu_tag_table against a copy of its content: lookups every clock while the host writes every clock. */
#include "Vslu_tag_table.h"
#include "bench.h"

static const unsigned BUCKET_BITS = 5, BUCKETS = 1u << BUCKET_BITS, LATENCY = 4;

struct Expected {
	bool valid, dump, hit;
	uint32_t slots[8], count;
	uint32_t words[8];
};

int main()
{
	bench::Tap tap;
	bench::Random random(2);
	Vslu_tag_table top;
	uint32_t content[2][BUCKETS][4] = {};
	std::vector<Expected> expected;
	unsigned wrong_hit = 0, wrong_slot = 0, wrong_words = 0, hits = 0, misses = 0;

	top.rst_ni = 0;
	top.valid_i = 0;
	top.we_i = 0;
	for (int i = 0; i < 4; i++) {
		top.clk_i = !top.clk_i;
		top.eval();
	}
	top.rst_ni = 1;

	for (unsigned i = 0; i < 60000; i++) {
		/* Write first everything once, then at random. Few tags, so that hits, double hits and false friends
		 * are frequent. */
		unsigned bank = i < 8 * BUCKETS ? i & 1 : random.below(2);
		unsigned bucket = i < 8 * BUCKETS ? i >> 1 & (BUCKETS - 1) : random.below(BUCKETS);
		unsigned ways = i < 8 * BUCKETS ? 15 : random.below(16);
		uint32_t word = (random.percent(60) ? 1u << 17 : 0) | random.below(6) * 0x5555;
		bool write = i < 8 * BUCKETS || random.percent(80);
		bool lookup = i >= 8 * BUCKETS && random.percent(95);
		bool dump = lookup && random.percent(50);
		unsigned a = random.below(BUCKETS), b = random.below(BUCKETS);
		uint32_t tag = random.below(6) * 0x5555;
		Expected e = {};

		e.valid = lookup;
		e.dump = dump;
		for (unsigned k = 0; k < 2; k++) {
			for (unsigned w = 0; w < 4; w++) {
				uint32_t slot = content[k][k ? b : a][w];

				e.words[4 * k + w] = slot;
				if (slot == (1u << 17 | tag))
					e.slots[e.count++] = k << (BUCKET_BITS + 2) | (k ? b : a) << 2 | w;
			}
		}
		e.hit = e.count > 0;
		expected.push_back(e);

		top.valid_i = lookup;
		top.dump_i = dump;
		top.bucket_a_i = a;
		top.bucket_b_i = b;
		top.tag_i = tag;
		top.we_i = write ? 1u << bank : 0;
		top.wbucket_i = bucket;
		top.wways_i = ways;
		top.wdata_i = word;
		top.clk_i = 0;
		top.eval();
		top.clk_i = 1;
		top.eval();
		if (write)
			for (unsigned w = 0; w < 4; w++)
				if (ways >> w & 1)
					content[bank][bucket][w] = word;
		if (i + 1 < LATENCY)
			continue;
		const Expected &x = expected[i + 1 - LATENCY];

		if (!x.valid)
			continue;
		bool slot_ok = false;

		wrong_hit += top.hit_o != x.hit;
		hits += x.hit;
		misses += !x.hit;
		for (unsigned k = 0; k < x.count; k++)
			slot_ok |= top.slot_o == x.slots[k];
		wrong_slot += x.hit && !slot_ok;
		for (unsigned k = 0; k < 8 && x.dump; k++)
			wrong_words += bench::get_bits(&top.words_o, 18 * k, 18) != x.words[k];
	}
	tap.ok(hits > 10000 && misses > 10000 && wrong_hit == 0,
		"a lookup hits exactly if one of its eight slots is valid with its tag");
	tap.ok(wrong_slot == 0, "the slot of a hit is one that matches");
	tap.ok(wrong_words == 0,
		"the raw words are those of the clock of the lookup: a write is seen by the next one, and stalls none");
	return tap.end();
}
