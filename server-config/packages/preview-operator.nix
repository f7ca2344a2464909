# The operator and its commands as one package.
#
# Installed under lib/berth and not under lib/node_modules, where Node refuses to run TypeScript.
# nodejs_24 runs it; the npm package `node` is for machines without Nix.
{
  lib,
  buildNpmPackage,
  callPackage,
  importNpmLock,
  nodejs_24,
  makeWrapper,
  git,
}:
let
  root = ../..;
  source = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/package.json")
      (root + "/package-lock.json")
      (root + "/webhook")
      (root + "/scripts/check-settings.ts")
      # What the operator builds previews' closures from.
      (root + "/server-config/guest")
    ];
  };
  package = lib.importJSON (root + "/package.json");
  commands = [
    "preview"
    "agent"
    "fleet"
    "hostctl"
  ];
in
buildNpmPackage {
  pname = "berth";
  inherit (package) version;
  src = source;
  nodejs = nodejs_24;
  npmDeps = callPackage ./npm-dependencies.nix { inherit root; };
  inherit (importNpmLock) npmConfigHook;
  npmFlags = [
    "--omit=dev"
    "--omit=optional"
    "--ignore-scripts"
  ];
  nativeBuildInputs = [ makeWrapper ];
  # TypeScript runs as it is: there is nothing to build.
  dontNpmBuild = true;

  installPhase = ''
    runHook preInstall
    mkdir -p $out/lib/berth $out/bin
    cp -r package.json webhook scripts server-config node_modules $out/lib/berth/
    rm -rf $out/lib/berth/node_modules/.bin $out/lib/berth/node_modules/node
    makeWrapper ${lib.getExe nodejs_24} $out/bin/berth-operator \
      --add-flags $out/lib/berth/webhook/main.ts --prefix PATH : ${lib.makeBinPath [ git ]}
    makeWrapper ${lib.getExe nodejs_24} $out/bin/berth-hostd \
      --add-flags $out/lib/berth/webhook/hostd/main.ts
    for command in ${lib.escapeShellArgs commands}; do
      # A command that has to start fast has a main.mjs, which switches Node's compile cache on.
      for main in main.mjs main.ts; do
        if [ -e webhook/commands/$command/$main ]; then
          makeWrapper ${lib.getExe nodejs_24} $out/bin/$command \
            --add-flags $out/lib/berth/webhook/commands/$command/$main
          break
        fi
      done
    done
    runHook postInstall
  '';

  meta = {
    description = package.description;
    license = lib.licenses.mit;
    mainProgram = "berth-operator";
    platforms = lib.platforms.linux;
  };
}
