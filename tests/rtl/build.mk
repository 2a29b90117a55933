# Benches of the host half of the card; those of the flow engine stand in hw/rtl/build.mk.
HOST_RTL := $(addprefix hw/rtl/,slu_host_if.sv slu_axil_regs.sv slu_clock_gate.sv slu_cmd.sv slu_desc_fetch.sv slu_dma.sv slu_flow_stats.sv \
	slu_host_reset.sv slu_id_track.sv slu_irq.sv slu_port_counters.sv slu_rss.sv slu_rx_queues.sv slu_tx_queues.sv) $(NIC_DT_ROM)
HOST_BENCH_CXXFLAGS = -std=gnu++17 -O2 -Wall -Wextra -Werror -Wno-c99-extensions -MMD -MP -Iinclude -Itests/rtl -isystem $(VERILATOR_INCLUDE)

# $(1): prefix of the C++ class, $(2): top module, $(3): parameters, $(4): sources beside the packages.
define host_model
$(B)/tests/rtl/$(1)/$(1)__ALL.a: $(RTL_LINT) $(RTL_PACKAGES) $(4) tests/rtl/build.mk
	@mkdir -p $$(@D)
	$(VERILATOR) --cc -O3 --x-assign fast --x-initial fast -Wno-fatal --top-module $(2) --prefix $(1) $(3) --Mdir $$(@D) \
		$(RTL_LINT) $(RTL_PACKAGES) $(4)
	$$(MAKE) -s -C $$(@D) -f $(1).mk CXX=$$(CLANG)++ OPT_FAST="-O2 -w" OPT_SLOW="-O1 -w" $(1)__ALL.a >/dev/null
	@touch $$@
endef

# $(1): name of the bench, $(2): its models.
define host_bench
$(B)/tests/rtl/$(1): tests/rtl/$(1).cc $(foreach m,$(2),$(B)/tests/rtl/$(m)/$(m)__ALL.a) $(B)/tests/rtl/verilated.a
	$$(CLANG)++ $$(HOST_BENCH_CXXFLAGS) $(foreach m,$(2),-isystem $(B)/tests/rtl/$(m)) $$(filter %.cc,$$^) \
		$(foreach m,$(2),$(B)/tests/rtl/$(m)/$(m)__ALL.a) $(B)/tests/rtl/verilated.a -latomic -pthread -o $$@
RTL_TESTS += $(B)/tests/rtl/$(1)
endef

$(eval $(call host_model,Vstats_small,slu_flow_stats,-GFlowIdBits=12 -GSetBits=4,hw/rtl/slu_flow_stats.sv hw/rtl/slu_id_track.sv))
$(eval $(call host_model,Vstats_full,slu_flow_stats,-GFlowIdBits=20 -GSetBits=10,hw/rtl/slu_flow_stats.sv hw/rtl/slu_id_track.sv))
$(eval $(call host_bench,test_flow_stats,Vstats_small Vstats_full))
$(eval $(call host_model,Vslu_host_if,slu_host_if,-GBucketBits=6 -GFlowIdBits=12 -GNextHopBits=4,$(HOST_RTL)))
$(eval $(call host_bench,test_host_if,Vslu_host_if))

# The whole card, with small tables; judged by the flow engine's model.
$(eval $(call host_model,Vsluice_nic,sluice_nic,-DSLU_SIM_CLOCK -GBucketBits=8 -GFlowIdBits=12 -GNextHopBits=6,$(filter-out $(RTL_PACKAGES),$(RTL_SOURCES)) $(NIC_DT_ROM)))
$(B)/tests/rtl/test_nic: tests/rtl/flow_model.cc tests/rtl/flow_traffic.cc
$(eval $(call host_bench,test_nic,Vsluice_nic))
