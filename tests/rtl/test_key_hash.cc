/* slu_key_hash against the driver's own hash, lib/flow_hash: the two must place every flow alike. */
#include "Vslu_key_hash.h"
#include "bench.h"

extern "C" {
#include "flow_hash.h"
}

static const unsigned BUCKET_BITS = 17, LATENCY = 11;

int main()
{
	bench::Tap tap;
	bench::Random random(1);
	Vslu_key_hash top;
	unsigned wrong = 0, checked = 0, late = 0;

	top.clk_i = 0;
	top.rst_ni = 0;
	top.valid_i = 0;
	for (int i = 0; i < 4; i++) {
		top.clk_i = !top.clk_i;
		top.eval();
	}
	top.rst_ni = 1;

	for (int round = 0; round < 20; round++) {
		uint32_t secret[SLU_NIC_HASH_KEYS];
		struct slu_flow_key keys[300];
		bool sent[300];

		for (uint32_t &word : secret)
			word = round == 0 ? 0 : round == 1 ? 0xFFFFFFFF : (uint32_t)random.next();
		bench::put(&top.hash_key_i, 0, secret, sizeof(secret));
		for (unsigned i = 0; i < 300 + LATENCY; i++) {
			if (i < 300) {
				for (uint32_t &word : keys[i].w)
					word = random.percent(10)   ? 0xFFFFFFFF
					       : random.percent(30) ? 0
								    : (uint32_t)random.next();
				/* Gaps, but not in the first half: one key a clock. */
				sent[i] = i < 150 || random.percent(50);
				bench::put(&top.key_i, 0, keys[i].w, sizeof(keys[i].w));
			}
			top.valid_i = i < 300 && sent[i];
			top.clk_i = 0;
			top.eval();
			top.clk_i = 1;
			top.eval();
			/* After this edge the output belongs to the key of LATENCY - 1 edges ago. */
			if (i + 1 < LATENCY || i + 1 - LATENCY >= 300)
				continue;
			unsigned k = i + 1 - LATENCY;

			late += top.valid_o != sent[k];
			if (!top.valid_o || !sent[k])
				continue;
			struct slu_flow_hash hash = slu_flow_hash_compute(&keys[k], secret, BUCKET_BITS);

			wrong += top.bucket_a_o != hash.bucket || top.tag_o != hash.tag ||
				 top.bucket_b_o != (hash.bucket ^ slu_flow_hash_alternate(hash.tag, BUCKET_BITS));
			checked++;
		}
	}
	tap.ok(checked > 4000 && wrong == 0,
		"both buckets and the tag are those of lib/flow_hash, also for keys and secrets of ones and zeros");
	tap.ok(late == 0, "a result comes 11 clocks after its key, one a clock, gaps kept");
	return tap.end();
}
