# RTL sources in compile order, for everyone, and the benches of the flow engine.
RTL_PACKAGES := hw/rtl/slu_regs_pkg.sv hw/rtl/slu_pkg.sv
RTL_SOURCES := $(RTL_PACKAGES) $(filter-out $(RTL_PACKAGES),$(sort $(wildcard hw/rtl/*.sv)))
RTL_LINT := hw/rtl/lint.vlt

# Benches of the flow engine: the RTL compiled by Verilator and clang, driven by C++ (tests/rtl). Small tables, quick builds.
VERILATOR ?= verilator
VERILATOR_INCLUDE = $(shell $(VERILATOR) --getenv VERILATOR_ROOT)/include
FLOW_RTL := $(RTL_PACKAGES) $(patsubst %,hw/rtl/slu_%.sv,clock_gate vlan_strip parser frame_store key_hash tag_table lookup fetch_ring \
	record_fetch next_hops decide epoch retire rewrite vlan_insert egress host_fifo port_stats table_port ingress flow_engine)
BENCH_CXXFLAGS = -std=c++17 -O2 -Wall -Wextra -Werror -Iinclude -Ilib -Itests/rtl -isystem $(VERILATOR_INCLUDE)

# Verilator's run-time library, once for all benches.
$(B)/tests/rtl/verilated.a:
	@mkdir -p $(@D)/verilated
	@for f in verilated verilated_threads; do $(CLANG)++ -std=c++17 -O3 -w -I$(VERILATOR_INCLUDE) -c $(VERILATOR_INCLUDE)/$$f.cpp \
		-o $(@D)/verilated/$$f.o; done
	@rm -f $@; ar rcs $@ $(@D)/verilated/*.o

# $(call flow_bench,test,top module,parameters,more sources): $(B)/tests/rtl/<test> from tests/rtl/<test>.cc.
define flow_bench
$(B)/tests/rtl/$(1): tests/rtl/$(1).cc $(4) $(FLOW_RTL) $(RTL_LINT) $(B)/tests/rtl/verilated.a $(wildcard tests/rtl/*.h) include/sluice/nic_regs.h
	@mkdir -p $(B)/tests/rtl/obj_$(1)
	$(VERILATOR) --cc -O3 --x-assign fast --x-initial fast --top-module $(2) $(3) --Mdir $(B)/tests/rtl/obj_$(1) $(RTL_LINT) $(FLOW_RTL)
	$(MAKE) -s -C $(B)/tests/rtl/obj_$(1) -f V$(2).mk CXX=$(CLANG)++ OPT_FAST="-O3 -fno-strict-aliasing" V$(2)__ALL.a >/dev/null
	$(CLANG)++ $$(BENCH_CXXFLAGS) -isystem $(B)/tests/rtl/obj_$(1) tests/rtl/$(1).cc $(filter %.cc,$(4)) $(filter %.a,$(4)) \
		$(B)/tests/rtl/obj_$(1)/V$(2)__ALL.a $(B)/tests/rtl/verilated.a -latomic -pthread -o $$@
RTL_TESTS += $(B)/tests/rtl/$(1)
endef

$(eval $(call flow_bench,test_flow_engine,slu_flow_engine,-GBucketBits=8,tests/rtl/engine_bench.cc tests/rtl/flow_model.cc tests/rtl/flow_traffic.cc))
$(eval $(call flow_bench,test_key_hash,slu_key_hash,-GBucketBits=17,$(B)/lib/libslu.a))
$(eval $(call flow_bench,test_tag_table,slu_tag_table,-GBucketBits=5,))
$(eval $(call flow_bench,test_vlan_strip,slu_vlan_strip,,))
$(eval $(call flow_bench,test_vlan_insert,slu_vlan_insert,-GPadToMin=1\'b1,))
$(eval $(call flow_bench,test_parser,slu_parser,,))
$(eval $(call flow_bench,test_record_fetch,slu_record_fetch,-GBucketBits=6,))
$(eval $(call flow_bench,test_decide,slu_decide,,))

# Proofs are seconds, so they are tests too.
RTL_TESTS += hw/formal/run.sh

formal: ## proofs about small modules of the card
	hw/formal/run.sh

SYNTH_TOP ?= sluice_nic
synth: $$(NIC_RTL_GENERATED) ## synthesise the card with yosys: LUT, FF, BRAM, DSP (SYNTH_TOP=slu_flow_engine for a part)
	hw/syn/synth.sh $(SYNTH_TOP) $(B)/hw/syn/$(SYNTH_TOP) $(RTL_SOURCES) $(NIC_RTL_GENERATED)
.PHONY: formal synth
