# What `hostctl status` shows: each item of the baseline, and whether this host opted out of it.
{ config, lib, ... }:
{
  config = lib.mkIf config.berth.features.hardening {
    environment.etc."berth/baseline.json".text = builtins.toJSON config.berth.hardening.baseline;
  };
}
