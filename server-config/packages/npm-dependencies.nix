# The npm packages that the operator runs with, each fetched by the integrity hash that package-lock.json holds.
#
# The lock names no addresses (.npmrc: omit-lockfile-registry-resolved), so they are derived here the way npm derives
# them. Packages for development only, and optional ones (an embedded PostgreSQL), are left out: NixOS has its own.
{
  lib,
  fetchurl,
  importNpmLock,
  root,
}:
let
  package = lib.importJSON (root + "/package.json");
  lock = lib.importJSON (root + "/package-lock.json");

  isUsed = module: !(module.dev or false) && !(module.optional or false) && !(module.devOptional or false);
  used = lib.filterAttrs (path: module: path != "" && isUsed module) lock.packages;

  # "node_modules/a/node_modules/@x/b" -> "@x/b"
  nameOf = path: lib.last (lib.splitString "node_modules/" path);
  tarball =
    path: module:
    let
      name = nameOf path;
    in
    fetchurl {
      url = "https://registry.npmjs.org/${name}/-/${baseNameOf name}-${module.version}.tgz";
      hash = module.integrity;
    };
  withoutDevelopment = entry: removeAttrs entry [ "devDependencies" "optionalDependencies" ];
in
importNpmLock {
  package = withoutDevelopment package;
  packageLock = lock // {
    packages = used // {
      "" = withoutDevelopment lock.packages."";
    };
  };
  packageSourceOverrides = lib.mapAttrs tarball used;
}
