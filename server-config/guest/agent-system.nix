# The system of every agent container: { nixpkgs, system, extraModules ? [ ] } → a NixOS configuration.
{
  nixpkgs,
  system,
  extraModules ? [ ],
}:
import (nixpkgs + "/nixos/lib/eval-config.nix") {
  inherit system;
  modules = [
    ./base.nix
    ./agent.nix
  ]
  ++ extraModules;
}
