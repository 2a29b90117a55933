/* slu_vlan_insert: the way back, with a reader that stalls. */
#include "Vslu_vlan_insert.h"
#include "bench.h"

using bench::Bytes;

struct Frame {
	Bytes bytes;
	bool tag_valid;
	uint16_t tag;
};

int main()
{
	bench::Tap tap;

	for (unsigned stall : {0u, 50u}) {
		bench::Random random(5 + stall);
		Vslu_vlan_insert top;
		std::vector<Frame> in;
		std::vector<Bytes> out;
		Bytes current;
		unsigned odd = 0, clocks = 0, plain_beats = 0, beats_out = 0;

		for (unsigned i = 0; i < 2000; i++) {
			Frame f;

			f.bytes.resize(i < 500 ? 56 + i / 2 : random.between(56, 400));
			for (uint8_t &byte : f.bytes)
				byte = (uint8_t)random.next();
			f.tag_valid = i < 500 ? i % 2 : random.percent(50);
			f.tag = (uint16_t)random.next();
			in.push_back(f);
			plain_beats += (unsigned)(f.bytes.size() + (f.tag_valid ? 4 : 0) + 63) / 64;
		}

		top.rst_ni = 0;
		top.valid_i = 0;
		top.ready_i = 0;
		for (int i = 0; i < 4; i++) {
			top.clk_i = !top.clk_i;
			top.eval();
		}
		top.rst_ni = 1;

		size_t at = 0, offset = 0;
		for (unsigned idle = 0; idle < 20; clocks++) {
			top.valid_i = at < in.size();
			if (top.valid_i) {
				const Frame &f = in[at];
				size_t left = f.bytes.size() - offset, count = left < 64 ? left : 64;
				uint8_t data[64];

				/* What lies behind the last byte must not matter. */
				for (uint8_t &byte : data)
					byte = (uint8_t)random.next();
				memcpy(data, &f.bytes[offset], count);
				bench::put(&top.data_i, 0, data, 64);
				top.bytes_i = (uint8_t)count;
				top.first_i = offset == 0;
				top.last_i = left <= 64;
				top.tag_valid_i = f.tag_valid;
				top.tag_i = f.tag;
			}
			top.ready_i = !random.percent(stall);
			top.clk_i = 0;
			top.eval();
			idle = at == in.size() && !top.valid_o ? idle + 1 : 0;
			if (top.valid_o && top.ready_i) {
				uint8_t data[64];

				beats_out++;
				bench::get(&top.data_o, 0, data, 64);
				odd += top.bytes_o == 0 || top.bytes_o > 64 || (!top.last_o && top.bytes_o != 64);
				current.insert(current.end(), data, data + top.bytes_o % 65);
				if (top.last_o) {
					out.push_back(current);
					current.clear();
				}
			}
			if (top.valid_i && top.ready_o) {
				offset += 64;
				if (offset >= in[at].bytes.size()) {
					at++;
					offset = 0;
				}
			}
			top.clk_i = 1;
			top.eval();
		}

		unsigned wrong = 0;
		for (size_t i = 0; i < in.size() && i < out.size(); i++) {
			Bytes want = in[i].bytes;

			if (in[i].tag_valid) {
				const uint8_t tag[4] = {0x81, 0, (uint8_t)(in[i].tag >> 8), (uint8_t)in[i].tag};

				want.insert(want.begin() + 12, tag, tag + 4);
			}
			if (want.size() < 60)
				want.resize(60, 0);
			wrong += out[i] != want;
		}
		std::string how = stall ? ", the reader stalling" : ", at full speed";
		tap.ok(out.size() == in.size() && wrong == 0 && odd == 0,
			"frames come out with their tag, or as they were, padded with zeros to 60 bytes" + how);
		if (!stall)
			tap.ok(clocks < plain_beats + 50 && beats_out == plain_beats,
				"one beat a clock, and no more beats than the frame needs");
	}
	return tap.end();
}
