{
  description = "The first boot of Berth's machines: disks, network, keys, and nothing else";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    nixos-anywhere = {
      url = "github:nix-community/nixos-anywhere/1.13.0";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.disko.follows = "disko";
    };
  };

  outputs =
    {
      nixpkgs,
      disko,
      nixos-anywhere,
      ...
    }:
    let
      inherit (nixpkgs) lib;
      # The example evaluates until there is a file of yours.
      file = if builtins.pathExists ./hosts.toml then ./hosts.toml else ./hosts.example.toml;
      hosts = import ./read-hosts.nix { inherit lib file; };
      firstBootOf =
        name: _:
        lib.nixosSystem {
          modules = [
            disko.nixosModules.disko
            ./configuration.nix
            (import ./host-from-file.nix { inherit name file; })
          ];
        };
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
    in
    {
      nixosConfigurations = lib.mapAttrs firstBootOf hosts;
      packages = lib.genAttrs systems (system: {
        inherit (nixos-anywhere.packages.${system}) nixos-anywhere;
      });
    };
}
