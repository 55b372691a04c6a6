// Who vouches for devices on matter.js, as its owner would put it into a folder: FOLDER/makers/lab.der and FOLDER/certifiers/lab.der.
import { mkdirSync, writeFileSync } from "node:fs";
import { CertificationDeclaration, TestCert_PAA_NoVID_Cert } from "@matter/main/protocol";

const [folder] = process.argv.slice(2);
for (const [name, der] of [["makers", TestCert_PAA_NoVID_Cert], ["certifiers", CertificationDeclaration.testSignerCertificate()]]) {
  mkdirSync(`${folder}/${name}`, { recursive: true });
  writeFileSync(`${folder}/${name}/lab.der`, der);
}
