/* slu_record_fetch: answers in any order and from any port, entries popped in each port's order with the right halves.
 */
#include "Vslu_record_fetch.h"
#include "bench.h"

#include <deque>

/* Bits of slu_pkg::ring_info_t. */
enum { IS6 = 1, FETCHED = 2, OFF = 4, CMD = 8, EPOCH = 16 };
static const unsigned PORTS = 2, RING_BITS = 9, INFO_BITS = 5, BUCKET_BITS = 6;

struct Entry {
	uint32_t slot, info;
	bool bad;
};
struct Read {
	uint32_t id, slot, beats;
	bool bad;
};

static uint64_t word(uint32_t slot, uint32_t half, uint32_t i)
{
	return (uint64_t)slot * 0x9E3779B97F4A7C15ull + half * 77777 + i;
}

static void test(bench::Tap *tap, const char *how, unsigned answer_percent, unsigned pop_percent, bool in_order)
{
	bench::Random random(answer_percent);
	Vslu_record_fetch top;
	std::deque<Entry> wait[PORTS]; /* allocated, not yet resolved: slu_lookup takes 16 clocks */
	std::deque<std::pair<uint64_t, std::pair<unsigned, uint32_t>>> tokens;
	std::deque<Entry> expect[PORTS];
	std::vector<Read> reads;
	int reading = -1;
	uint32_t beat = 0;
	Entry popped[PORTS];
	bool was_popped[PORTS] = {};
	unsigned wrong = 0, done = 0, most = 0, bad_address = 0, busy_id = 0, too_many[PORTS] = {}, in_ring[PORTS] = {},
		 full = 0;

	top.rst_ni = 0;
	top.alloc_i = 0;
	top.tok_valid_i = 0;
	top.rvalid_i = 0;
	top.pop_i = 0;
	top.arready_i = 1;
	for (int i = 0; i < 4; i++) {
		top.clk_i = !top.clk_i;
		top.eval();
	}
	top.rst_ni = 1;

	for (uint64_t now = 0; now < 40000; now++) {
		top.clk_i = 0;
		top.eval();

		/* One token a clock, of either port. */
		unsigned port = random.below(PORTS);
		top.alloc_i = 0;
		full += !(top.room_o >> port & 1);
		if ((top.room_o >> port & 1) && now < 36000 && random.percent(95)) {
			Entry e;

			e.slot = random.below(8u << BUCKET_BITS);
			e.info = random.below(32) | (random.percent(80) ? FETCHED : 0);
			e.bad = e.slot % 53 == 7; /* these slots cannot be read */
			wait[port].push_back(e);
			tokens.push_back(
				{now + 16, {port, (uint32_t)bench::get_bits(&top.idx_o, RING_BITS * port, RING_BITS)}});
			top.alloc_i = 1u << port;
			in_ring[port]++;
			too_many[port] += in_ring[port] > 1u << RING_BITS;
		}
		top.tok_valid_i = 0;
		if (!tokens.empty() && tokens.front().first <= now) {
			unsigned p = tokens.front().second.first;
			Entry e = wait[p].front();

			wait[p].pop_front();
			top.tok_valid_i = 1;
			top.tok_port_i = p;
			top.tok_idx_i = tokens.front().second.second;
			top.tok_info_i = e.info;
			top.tok_slot_i = e.slot;
			expect[p].push_back(e);
			tokens.pop_front();
		}

		/* Record memory. */
		top.arready_i = random.percent(98);
		top.rvalid_i = 0;
		if (reading < 0 && !reads.empty() && random.percent(answer_percent)) {
			reading = in_order ? 0 : (int)random.below((uint32_t)reads.size());
			beat = 0;
		}
		if (reading >= 0) {
			const Read &r = reads[(size_t)reading];

			for (uint32_t i = 0; i < 8; i++) {
				uint64_t w = word(r.slot, beat, i);

				bench::put(&top.rdata_i, 64 * i, &w, 8);
			}
			top.rvalid_i = 1;
			top.rid_i = r.id;
			top.rresp_i = r.bad ? 2 : 0;
			top.rlast_i = beat + 1 == r.beats;
		}

		for (unsigned p = 0; p < PORTS; p++)
			if (!random.percent(pop_percent))
				top.pop_i &= ~(1u << p);
			else
				top.pop_i |= 1u << p;
		top.pop_i &= top.head_valid_o;
		top.eval();

		/* Halves of what was popped one clock ago. */
		for (unsigned p = 0; p < PORTS; p++) {
			if (!was_popped[p] || !(popped[p].info & FETCHED))
				continue;
			uint64_t lo[8], hi[8];

			bench::get(&top.lo_o, 512 * p, lo, 64);
			bench::get(&top.hi_o, 512 * p, hi, 64);
			wrong += (bool)(top.err_o >> p & 1) != popped[p].bad;
			for (uint32_t i = 0; i < 8; i++) {
				wrong += lo[i] != word(popped[p].slot, 0, i);
				wrong += (popped[p].info & IS6) && hi[i] != word(popped[p].slot, 1, i);
			}
		}
		for (unsigned p = 0; p < PORTS; p++) {
			was_popped[p] = top.pop_i >> p & 1;
			if (!was_popped[p])
				continue;
			in_ring[p]--;
			done++;
			if (expect[p].empty()) {
				wrong++;
				was_popped[p] = false;
				continue;
			}
			popped[p] = expect[p].front();
			expect[p].pop_front();
			wrong += bench::get_bits(&top.head_info_o, INFO_BITS * p, INFO_BITS) != popped[p].info;
		}
		if (top.arvalid_o && top.arready_i) {
			Read r = {top.arid_o, top.araddr_o / 128, top.arlen_o + 1u, false};

			bad_address += top.araddr_o % 128 != 0 || r.slot >= 8u << BUCKET_BITS;
			for (const Read &other : reads)
				busy_id += other.id == r.id;
			r.bad = r.slot % 53 == 7;
			reads.push_back(r);
			most = std::max(most, (unsigned)reads.size());
		}
		if (reading >= 0 && ++beat == reads[(size_t)reading].beats) {
			reads.erase(reads.begin() + reading);
			reading = -1;
		}
		top.clk_i = 1;
		top.eval();
	}
	char text[200];
	snprintf(text, sizeof(text),
		"%s: %u entries come back in order with their own halves, %u reads in flight at most", how, done, most);
	tap->ok(wrong == 0 && done > 4000 && bad_address == 0 && expect[0].empty() && expect[1].empty() && !top.head_valid_o,
		text);
	tap->ok(busy_id == 0 && too_many[0] == 0 && too_many[1] == 0,
		std::string(how) + ": no id is used twice at a time, no ring overflows");
	if (answer_percent < 50)
		tap->ok(full > 0 && most > 512,
			std::string(how) + ": both rings fill, with more than 512 reads in flight");
}

int main()
{
	bench::Tap tap;

	test(&tap, "in order", 100, 100, true);
	test(&tap, "any order", 100, 100, false);
	test(&tap, "slow readers", 100, 30, false);
	test(&tap, "slow memory", 20, 100, false);
	return tap.end();
}
