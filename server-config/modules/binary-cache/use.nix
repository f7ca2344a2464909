# What another host has built is fetched, if it is signed with that host's key.
{ config, lib, ... }:
let
  inherit (config.berth.binaryCache) use;
in
{
  config = lib.mkIf (config.berth.features.binaryCache && use != [ ]) {
    nix.settings = {
      substituters = map (cache: cache.url) use;
      trusted-public-keys = map (cache: cache.publicKey) use;
      # A host that is down must not hold up a build on another.
      connect-timeout = lib.mkDefault 5;
      fallback = lib.mkDefault true;
    };
  };
}
