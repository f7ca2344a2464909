# A host of ours: all modules, disko for its disks, and the host's own file.
{ nixpkgs, disko }:
modules:
nixpkgs.lib.nixosSystem {
  modules = [
    ./modules/everything.nix
    disko.nixosModules.disko
    {
      # Containers are built from the very nixpkgs that the host is.
      berth.previewOperator.guestNixpkgs = nixpkgs.lib.mkIf (nixpkgs ? narHash) {
        path = "${nixpkgs.outPath}";
        inherit (nixpkgs) narHash lastModified;
      };
    }
  ]
  ++ modules;
}
