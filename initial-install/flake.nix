{
  description = "The first boot of Berth's machines: disks, network, keys, and nothing else";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    disko = {
      url = "github:nix-community/disko";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      nixpkgs,
      disko,
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
        # nixpkgs' own package: it prefers the ssh on PATH, which is how pinned-ssh.ts comes before its options.
        inherit (nixpkgs.legacyPackages.${system}) nixos-anywhere;
      });
    };
}
