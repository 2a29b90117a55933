/* slu_vlan_strip: frames of every length, tagged and not, with and without pauses on the wire. */
#include "Vslu_vlan_strip.h"
#include "bench.h"

using bench::Bytes;

struct Frame {
	Bytes bytes;
	bool error, has_tag;
	uint16_t tci;
};

int main()
{
	bench::Tap tap;

	for (unsigned gap : {0u, 40u}) {
		bench::Random random(3 + gap);
		Vslu_vlan_strip top;
		std::vector<Frame> in, out;
		Bytes current;
		unsigned odd = 0;

		for (unsigned i = 0; i < 3000; i++) {
			Frame f;

			f.bytes.resize(i < 600 ? 16 + i / 2 : random.between(1, 400));
			for (uint8_t &byte : f.bytes)
				byte = (uint8_t)random.next();
			f.has_tag = f.bytes.size() >= 16 && (i < 600 ? i % 2 : random.percent(50));
			f.error = random.percent(10);
			if (f.bytes.size() > 13) {
				f.bytes[12] = f.has_tag ? 0x81 : 0x88;
				f.bytes[13] = f.has_tag ? 0x00 : 0xA8;
			}
			f.tci = f.has_tag ? bench::be16(&f.bytes[14]) : 0;
			in.push_back(f);
		}

		top.rst_ni = 0;
		top.rx_valid_i = 0;
		for (int i = 0; i < 4; i++) {
			top.clk_i = !top.clk_i;
			top.eval();
		}
		top.rst_ni = 1;

		size_t at = 0, offset = 0;
		for (unsigned idle = 0; idle < 20;) {
			top.rx_valid_i = 0;
			if (at < in.size() && !random.percent(gap)) {
				const Frame &f = in[at];
				size_t left = f.bytes.size() - offset, count = left < 64 ? left : 64;
				uint64_t keep = count == 64 ? ~0ull : (1ull << count) - 1;

				top.rx_valid_i = 1;
				bench::put(&top.rx_data_i, 0, &f.bytes[offset], count);
				top.rx_keep_i = keep;
				top.rx_last_i = left <= 64;
				top.rx_err_i = left <= 64 && f.error;
				offset += count;
				if (left <= 64) {
					at++;
					offset = 0;
				}
			}
			idle = at == in.size() ? idle + 1 : 0;
			top.clk_i = 0;
			top.eval();
			if (top.valid_o) {
				uint8_t data[64];

				bench::get(&top.data_o, 0, data, 60);
				memcpy(data + 60, &top.tail_o, 4);
				odd += top.first_o != current.empty();
				odd += !top.last_o && top.bytes_o != 64;
				odd += top.bytes_o == 0 || top.bytes_o > 64;
				current.insert(current.end(), data, data + top.bytes_o);
				if (top.last_o) {
					out.push_back({current, (bool)top.err_o, (bool)top.tagged_o, top.tci_o});
					current.clear();
				}
			}
			top.clk_i = 1;
			top.eval();
		}

		unsigned wrong = 0, wrong_tag = 0;
		for (size_t i = 0; i < in.size() && i < out.size(); i++) {
			Bytes want = in[i].bytes;

			if (in[i].has_tag)
				want.erase(want.begin() + 12, want.begin() + 16);
			wrong += out[i].bytes != want || out[i].error != in[i].error;
			wrong_tag += out[i].has_tag != in[i].has_tag || (in[i].has_tag && out[i].tci != in[i].tci);
		}
		std::string how = gap ? ", with pauses on the wire" : ", back to back";
		tap.ok(out.size() == in.size() && wrong == 0 && odd == 0 && top.idle_o,
			"frames of every length come out without their tag and else unchanged" + how);
		tap.ok(wrong_tag == 0, "the tag is told, 0x88A8 is not taken off" + how);
	}
	return tap.end();
}
