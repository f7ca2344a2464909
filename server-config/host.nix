# A host of ours: all modules, disko for its disks, and the host's own file.
{ nixpkgs, disko }:
modules:
nixpkgs.lib.nixosSystem {
  modules = [
    ./modules/everything.nix
    disko.nixosModules.disko
  ]
  ++ modules;
}
